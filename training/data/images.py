"""Which images of a data set can be used, and their pixels."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from peopleseg.errors import InvalidInput, PeoplesegError
from peopleseg.labels.coco import AnnotatedImage, first_lines, load_images
from peopleseg.pixels.images import FORMATS, Header, decode_image, header_of, opened_header

SMALLEST_SIDE_PX = 16  # of a box that becomes a roi, image pixels; as published


class DataError(PeoplesegError):
    """The data to train or validate on cannot be used."""


class BrokenImage(PeoplesegError, ValueError):
    """An image that does not decode; the message names its path."""


@dataclass(frozen=True)
class Skipped:
    """An image that is left out."""

    path: Path
    reason: str


def usable_images(annotations: Path, images: Path) -> tuple[list[AnnotatedImage], list[Skipped]]:
    """The images of a COCO file that can be trained on, and the others, as `checked` does.

    Raises AnnotationError for annotations not in COCO format.
    """
    return checked(load_images(annotations, images))


class Annotated(Protocol):
    """An image that was annotated at one of its sizes, see `AnnotatedImage`."""

    @property
    def path(self) -> Path: ...

    def drawn_upright(self, header: Header) -> bool: ...


AnyAnnotated = TypeVar("AnyAnnotated", bound=Annotated)


def checked(images: Sequence[AnyAnnotated]) -> tuple[list[AnyAnnotated], list[Skipped]]:
    """The images that can be used, and the others.

    Left out are files that are missing, that are no image, or whose size is not the annotated
    one. Only headers are read: what a file lacks further in is for `read_rgb` to find.
    """
    usable, skipped = [], []
    # disable=None: no bar in a log; delay: none either for a folder that is checked in a moment
    for image in tqdm(images, desc="checking", unit="image", disable=None, delay=2):
        reason = _fault(image)
        if reason is None:
            usable.append(image)
        else:
            skipped.append(Skipped(image.path, reason))
    return usable, skipped


def report_skipped(skipped: Sequence[Skipped]) -> None:
    """Print how many images are left out and the first of them, to stderr."""
    if not skipped:
        return
    head = f"left out {len(skipped)} image{'s' * (len(skipped) > 1)}:"
    lines = first_lines([f"{image.path}: {image.reason}" for image in skipped])
    print("\n".join((head, *lines)), file=sys.stderr)


def read_rgb(image: Annotated) -> NDArray[np.uint8]:
    """(height, width, 3) as it was annotated: as EXIF turns it, or as it is stored.

    Raises BrokenImage for a file that cannot be read or decoded, that is cut off, or whose size
    is not the annotated one.
    """
    try:
        data = image.path.read_bytes()
        header = header_of(data)
        return decode_image(data, upright=image.drawn_upright(header), header=header)
    except OSError as error:
        raise BrokenImage(f"{image.path} cannot be read ({error.strerror})") from error
    except InvalidInput as error:
        raise BrokenImage(f"{image.path}: {error}") from error


def _fault(image: Annotated) -> str | None:
    """Why an image cannot be used."""
    if not image.path.is_file():
        return "is missing"
    try:
        with Image.open(image.path, formats=FORMATS) as opened:
            header = opened_header(opened)
    except Exception as error:  # Pillow has no common error for broken headers
        return f"is not an image ({error})"
    try:
        image.drawn_upright(header)
    except InvalidInput as error:
        return str(error).removeprefix("image ")
    return None
