"""The metric that decides whether a quantised network may be served."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from conversion.export.runners import Runner
from conversion.export.settings import ExportError, Settings
from peopleseg.labels.coco_file import AnnotationError

T = TypeVar("T")


class Accuracy(NamedTuple):
    """One metric of one network: what it is called, and what measures it, in [0, 1].

    What is the same for every artifact is computed at the first call.
    """

    metric: str
    measure: Callable[[Runner], float]


def read_annotated(
    settings: Settings, read: Callable[[Path, Path, int | None], Sequence[T]]
) -> list[T]:
    """What to measure on, read as a system's `Accuracy` does. Raises ExportError where it cannot
    be read."""
    assert settings.images is not None and settings.annotations is not None
    try:
        return list(read(settings.annotations, settings.images, settings.limit))
    except AnnotationError as error:
        raise ExportError(f"{error}; nothing was written") from error


def with_progress(images: Sequence[T]) -> "tqdm[T]":
    """The images that are measured, one after the other."""
    # disable=None: no bar where nobody watches, in a log or a pipe
    return tqdm(images, desc="accuracy", unit="image", leave=False, disable=None)
