"""Read label maps: PNG files in which a pixel is the number of its class, as Pascal VOC has them.

Palette and grey files are read alike: what counts is the number. 255 says that no class is known.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.mistaken import mistaken_file
from peopleseg.labels.orientation import drawn_upright, read_upright
from peopleseg.pixels.image_files import SUFFIXES
from peopleseg.pixels.images import MAX_IMAGE_PIXELS, Header

UNKNOWN = 255
LABEL_SUFFIX = ".png"
_ONE_NUMBER = ("P", "L", "1")  # Pillow's modes of one byte a pixel
_VOC_LABELS = "SegmentationClass"
_MOST_NAMED = 5


@dataclass(frozen=True)
class LabelledImage:
    """An image with its label map."""

    path: Path
    labels: Path

    @property
    def name(self) -> str:
        """Of both files, without their endings."""
        return self.labels.stem

    @property
    def files(self) -> tuple[Path, Path]:
        return self.path, self.labels

    def read(self) -> bytes:
        """The encoded image, see `orientation.read_upright`. Raises OSError, InvalidInput."""
        return read_upright(self.path, self.drawn_upright)

    def drawn_upright(self, header: Header) -> bool:
        """Whether the label map is of the image as EXIF turns it. Raises InvalidInput."""
        return drawn_upright(header, label_size_wh(self.labels))

    def label_map(self, classes: int) -> NDArray[np.uint8]:
        """(height, width) of 0 to classes - 1, and UNKNOWN. Raises AnnotationError."""
        labels = _pixels(self.labels)
        known = labels[labels != UNKNOWN]
        if known.size and (highest := int(known.max())) >= classes:
            raise AnnotationError(
                f"{self.labels} has the class {highest}; expected 0 to {classes - 1}, and "
                f"{UNKNOWN} where no class is known"
            )
        return labels


def load_labelled(annotations: Path, images: Path, limit: int | None = None) -> list[LabelledImage]:
    """The images of a folder that have a label map, the first so many, in the order of their names.

    annotations: a folder of label maps, each called as its image; or a list of Pascal VOC, such as
    VOC2012/ImageSets/Segmentation/val.txt, whose label maps are in VOC2012/SegmentationClass. An
    image without a label map is left out, a label map without an image is an error. Raises
    AnnotationError.
    """
    label_files = _label_files(annotations)
    if not label_files:
        raise AnnotationError(f"{annotations} has no label maps ({LABEL_SUFFIX})")
    if not images.is_dir():
        raise AnnotationError(f"{images} is no folder of images")
    by_name = {
        file.stem: file for file in sorted(images.iterdir()) if file.suffix.lower() in SUFFIXES
    }
    missing = [file.stem for file in label_files if file.stem not in by_name]
    if missing:
        raise AnnotationError(
            f"{annotations} has labels of {', '.join(missing[:_MOST_NAMED])}{_more(missing)}, of "
            f"which {images} has no image ({', '.join(SUFFIXES)})"
        )
    return [LabelledImage(by_name[file.stem], file) for file in label_files[:limit]]


def voc_split(root: Path, split: str = "val") -> tuple[Path, Path]:
    """Images, and the list of those of a split, in Pascal VOC's own folder (VOC2012)."""
    return root / "JPEGImages", root / "ImageSets" / "Segmentation" / f"{split}.txt"


def label_size_wh(path: Path) -> tuple[int, int]:
    """Of a label map, without decoding it. Raises AnnotationError."""
    with _opened(path) as image:
        return image.size


def _label_files(annotations: Path) -> list[Path]:
    if annotations.is_dir():
        return sorted(file for file in annotations.iterdir() if file.suffix.lower() == LABEL_SUFFIX)
    if annotations.suffix != ".txt":
        raise AnnotationError(
            f"{annotations} is no folder of label maps and no list of Pascal VOC (.txt)"
        )
    try:
        names = annotations.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{annotations} cannot be read: {error}") from error
    folder = annotations.resolve().parents[2] / _VOC_LABELS
    files = [folder / f"{name}{LABEL_SUFFIX}" for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise AnnotationError(
            f"{annotations} names {', '.join(missing[:_MOST_NAMED])}{_more(missing)}, not in "
            f"{folder}; a list lies in VOC2012/ImageSets/Segmentation, its label maps in "
            f"VOC2012/{_VOC_LABELS}"
        )
    return files


def _pixels(path: Path) -> NDArray[np.uint8]:
    with _opened(path) as image:
        try:
            return np.array(image).astype(np.uint8)
        except Exception as error:  # damaged further in: Pillow has no common error
            raise AnnotationError(f"{path} is a damaged or truncated PNG ({error})") from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Raises AnnotationError for what cannot be a label map."""
    try:
        image = Image.open(path, formats=("PNG",))
    except (OSError, Image.DecompressionBombError) as error:
        said = mistaken_file(path) if path.is_file() else None
        raise AnnotationError(f"{path} {said or f'is no label map in PNG ({error})'}") from error
    with image:
        _require_label_map(image, path)
        yield image


def _require_label_map(image: Image.Image, path: Path) -> None:
    if image.mode not in _ONE_NUMBER:
        raise AnnotationError(
            f"{path} has pixels of the kind {image.mode}; expected one number of 8 bits each, the "
            "class: a PNG of kind P (palette) or L (grey)"
        )
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise AnnotationError(
            f"{path} has {image.width} x {image.height} pixels, more than the limit of "
            f"{MAX_IMAGE_PIXELS}"
        )


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
