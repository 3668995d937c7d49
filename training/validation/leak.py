"""Whether a network is measured on images that it was trained on.

A training writes the names of its images into the checkpoint, as TRAINED_ON, and with them those of
the checkpoint that it started from. A name is that of the image's file without its ending, so an
image is known again in another folder and in another list, as Pascal VOC's `trainval` has all of
`val`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from peopleseg.errors import PeoplesegError
from peopleseg.networks.checkpoint import Loaded

_MOST_NAMED = 5


class Leak(PeoplesegError, ValueError):
    """A network was trained on what it is to be measured on."""


def trained_on(images: Iterable[Path], before: Iterable[str] = ()) -> list[str]:
    """What a checkpoint says under TRAINED_ON: every name once, sorted.

    images: files of images that the network learns from. before: the names that the checkpoint
    has which it started from.
    """
    return sorted({image.stem for image in images}.union(before))


def seen(loaded: Loaded, images: Iterable[Path]) -> list[str]:
    """The names of the images that the network was trained on, as far as its checkpoint says."""
    return sorted({image.stem for image in images}.intersection(loaded.trained_on))


def refuse_seen(names: Sequence[str], images: int) -> None:
    """Raises Leak where there are names of images that were `seen`."""
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        raise Leak(
            f"it was trained on {len(names)} of these {images} images "
            f"({', '.join(names[:_MOST_NAMED])}{more}), so its metrics would say nothing about "
            "others; measure it on images that are new to it, or say --leak-ok, which the record "
            "then tells"
        )
