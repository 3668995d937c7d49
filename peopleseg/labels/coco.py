"""Read person annotations in COCO format."""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco_file import AnnotationError, exif_applied, person_ids, read_coco
from peopleseg.labels.numbers import is_number
from peopleseg.labels.orientation import drawn_upright, read_upright
from peopleseg.labels.segmentation import decode, fault
from peopleseg.pixels.images import Header

PERSON_CATEGORY_ID = 1  # in what is written here; what is read says its own
MOST_NAMED = 10  # of what is left out
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Annotation:
    """One person, or one crowd, of an image."""

    box_xyxy: tuple[float, float, float, float]  # image pixels
    segmentation: Any  # polygons, or compressed or uncompressed RLE; None: there is a box alone
    crowd: bool

    @property
    def masked(self) -> bool:
        """Whether the mask is known."""
        return self.segmentation is not None

    def mask(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) of 0 and 1. Raises ValueError where the mask is not known."""
        if self.segmentation is None:
            raise ValueError(f"the annotation with box {self.box_xyxy} has no mask; ask `masked`")
        return decode(self.segmentation, height, width)


@dataclass
class AnnotatedImage:
    """One image of a data set with its people."""

    id: int
    path: Path
    width: int
    height: int
    annotations: list[Annotation] = field(default_factory=list)
    everybody: bool = True  # is annotated; otherwise there may be others
    weight: float = 1.0  # how often an epoch of training draws it
    upright: bool = True  # was annotated as EXIF turns it; counts where the size does not tell

    @property
    def files(self) -> tuple[Path]:
        """The image; the annotations are those of a file for all images."""
        return (self.path,)

    def read(self) -> bytes:
        """The encoded image, see `orientation.read_upright`. Raises OSError, InvalidInput."""
        return read_upright(self.path, self.drawn_upright)

    def drawn_upright(self, header: Header) -> bool:
        """Whether the annotations were drawn on the image as EXIF turns it, as it is served.

        Their size tells it; where both ways have that size, `upright`. Raises InvalidInput where
        neither has.
        """
        return drawn_upright(header, (self.width, self.height), self.upright)

    @property
    def people(self) -> list[Annotation]:
        """Those annotated, but not the crowds, in the order of the file."""
        return [a for a in self.annotations if not a.crowd]

    @property
    def masked_people(self) -> list[Annotation]:
        """Those of the people whose mask is known."""
        return [person for person in self.people if person.masked]


class Labels(NamedTuple):
    """A COCO file as it stands, and what of it can be used."""

    data: dict[str, Any]
    images: list[AnnotatedImage]  # all images, in the file's order
    entries: dict[int, list[dict[str, Any]]]  # of `data`, of each image.annotations, by image id
    left_out: list[dict[str, Any]]  # annotations of `data` that are broken


def load_images(annotations: Path, images: Path) -> list[AnnotatedImage]:
    """The images of a COCO file with the annotations of people, as `load_labels` reads them."""
    return load_labels(annotations, images).images


def load_people(annotations: Path, images: Path, limit: int | None = None) -> list[AnnotatedImage]:
    """The first so many of `load_images`. Raises AnnotationError, also where they show nobody."""
    found = load_images(annotations, images)[:limit]
    require_people(found, annotations)
    return found


def people_split(root: Path, split: str = "val") -> tuple[Path, Path]:
    """Images and annotations of a split, in the folder of a data set."""
    return root / split, root / f"person_{split}.json"


def load_labels(annotations: Path, images: Path) -> Labels:
    """All images of a COCO file, with the annotations of people.

    An annotation has a box alone where its segmentation is missing, null or [], or its "mask" is
    "none". What is broken is left out and told, as a warning of this module's logger: a mask that
    is none leaves a box alone; a box that is none leaves nothing. Raises AnnotationError when the
    file is not in COCO format, or an image cannot be used as it is described.
    """
    data = read_coco(annotations)
    people = person_ids(data, annotations)
    upright = exif_applied(data, annotations)
    by_id: dict[int, AnnotatedImage] = {}
    for entry in data["images"]:
        image = annotated_image(entry, annotations, images, upright)
        if (other := by_id.get(image.id)) is not None:
            raise AnnotationError(
                f"{annotations}: {other.path.name} and {image.path.name} both have the image id "
                f"{image.id}; number the images anew"
            )
        by_id[image.id] = image
    labels = Labels(data, list(by_id.values()), {identity: [] for identity in by_id}, [])
    others = {category.get("id") for category in data["categories"]} - people
    broken = []
    for entry in data["annotations"]:
        category = entry.get("category_id")
        if _is_whole(category) and category in others:
            continue
        if reason := _entry_fault(entry, by_id, people):
            labels.left_out.append(entry)
        else:
            reason = _add(entry, labels, by_id[entry["image_id"]])
        if reason:
            broken.append(f"annotation {entry.get('id')}: {reason}")
    if broken:
        _LOG.warning("%s", _told(annotations, broken))
    return labels


def annotated_image(
    entry: dict[str, Any], annotations: Path, images: Path, upright: bool
) -> AnnotatedImage:
    """An image of a COCO file, without what it shows. Raises AnnotationError."""
    identity, name = entry.get("id"), entry.get("file_name")
    for key, least in (("id", 0), ("width", 1), ("height", 1)):
        value = entry.get(key)
        if not _is_whole(value) or value < least:
            raise AnnotationError(
                f"{annotations}: the image {name!r} has the {key} {value!r}; expected a whole "
                f"number from {least} on"
            )
    if not (isinstance(name, str) and name):
        raise AnnotationError(
            f"{annotations}: image {identity} has the file_name {name!r}; expected a path below "
            "the folder of the images"
        )
    if "://" in name:
        raise AnnotationError(
            f"{annotations}: image {identity} has the URL {name} as its file_name; download the "
            "images and write their names there"
        )
    if "\\" in name and not (images / name).is_file():
        raise AnnotationError(
            f"{annotations}: image {identity} has the Windows path {name} as its file_name; write "
            "it with / and from the folder of the images on"
        )
    size = entry["width"], entry["height"]
    return AnnotatedImage(entry["id"], images / name, *size, upright=upright)


def require_people(images: Sequence[AnnotatedImage], where: Path | str) -> None:
    """Raises AnnotationError where no image has a person, who is no crowd, to find or learn."""
    if not any(image.people for image in images):
        crowds = sum(len(image.annotations) for image in images)
        only = f", only {crowds} crowds" if crowds else ""
        raise AnnotationError(
            f"{where} has nobody in its {len(images)} images{only}; take annotated people"
        )


def first_lines(said: Sequence[str]) -> list[str]:
    """The first of many lines, indented, and how many more there are."""
    lines = [f"  {one}" for one in said[:MOST_NAMED]]
    if len(said) > MOST_NAMED:
        lines.append(f"  and {len(said) - MOST_NAMED} more")
    return lines


def box_pixels(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels of an image that a box touches."""
    x1, y1, x2, y2 = box_xyxy
    height, width = size_hw
    rows = slice(max(0, math.floor(y1)), max(0, min(height, math.ceil(y2))))
    return rows, slice(max(0, math.floor(x1)), max(0, min(width, math.ceil(x2))))


def _entry_fault(
    entry: Mapping[str, Any], images: Mapping[int, AnnotatedImage], people: Collection[int]
) -> str | None:
    """Why an annotation cannot be a person's or a crowd's."""
    category, image = entry.get("category_id"), entry.get("image_id")
    if not _is_whole(category) or category not in people:
        return f"its category_id {category!r} is not among the categories"
    if not _is_whole(image) or image not in images:
        return f"its image_id {image!r} is not among the images"
    if (crowd := entry.get("iscrowd", 0)) not in (None, 0, 1):
        return f"its iscrowd is {crowd!r}, expected 0 or 1"
    return _box_fault(entry.get("bbox"), images[image])


def _add(entry: dict[str, Any], labels: Labels, image: AnnotatedImage) -> str | None:
    """Give an annotation of a person to its image. Returns what is broken of its mask."""
    segmentation = None if entry.get("mask") == "none" else entry.get("segmentation") or None
    reason = segmentation and fault(segmentation, image.height, image.width)
    x, y, width, height = entry["bbox"]
    person = Annotation(
        box_xyxy=(x, y, x + width, y + height),
        segmentation=None if reason else segmentation,
        crowd=bool(entry.get("iscrowd")),
    )
    image.annotations.append(person)
    labels.entries[image.id].append(entry)
    return f"{reason}; it counts as a box alone" if reason else None


def _box_fault(box: Any, image: AnnotatedImage) -> str | None:
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        return f"its bbox is {box!r:.60}, expected the numbers [x, y, width, height]"
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return f"its bbox {box} has no area"
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        return f"its bbox {box} lies outside the image, {image.width} x {image.height} pixels"
    return None


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _told(annotations: Path, broken: Sequence[str]) -> str:
    head = f"{annotations}: {len(broken)} broken annotations:"
    return "\n".join((head, *first_lines(broken)))
