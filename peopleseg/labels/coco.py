"""Read person annotations in COCO format."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSON_CATEGORY_ID = 1


@dataclass(frozen=True)
class Annotation:
    """One person, or one crowd, of a picture."""

    box_xyxy: tuple[float, float, float, float]  # image pixels
    segmentation: Any  # polygons, or compressed or uncompressed RLE; None: there is a box alone
    crowd: bool

    @property
    def masked(self) -> bool:
        """Whether the mask is known."""
        return self.segmentation is not None

    def mask(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) of 0 and 1. Raises ValueError where the mask is not known."""
        from pycocotools import mask as coco_mask

        rle = self.segmentation
        if rle is None:
            raise ValueError(f"the annotation with box {self.box_xyxy} has no mask; ask `masked`")
        if isinstance(rle, list):
            rle = coco_mask.merge(coco_mask.frPyObjects(rle, height, width))
        elif isinstance(rle["counts"], list):
            rle = coco_mask.frPyObjects(rle, height, width)
        return coco_mask.decode(rle)  # type: ignore[no-any-return]


@dataclass
class Picture:
    """One image of a data set with its people."""

    id: int
    path: Path
    width: int
    height: int
    annotations: list[Annotation] = field(default_factory=list)
    everybody: bool = True  # is annotated; otherwise there may be others
    weight: float = 1.0  # how often an epoch of training draws it

    @property
    def people(self) -> list[Annotation]:
        """Those annotated, but not the crowds, in the order of the file."""
        return [a for a in self.annotations if not a.crowd]

    @property
    def masked_people(self) -> list[Annotation]:
        """Those of the people whose mask is known."""
        return [person for person in self.people if person.masked]


def load_pictures(annotations: Path, images: Path) -> list[Picture]:
    """All images of a COCO file, in its order, with their person annotations.

    An annotation has a box alone where its segmentation is missing, null or [], or its "mask" is
    "none". Raises ValueError when the file is not in COCO format.
    """
    data = json.loads(annotations.read_text())
    try:
        pictures = {
            info["id"]: Picture(
                info["id"], images / info["file_name"], info["width"], info["height"]
            )
            for info in data["images"]
        }
        for entry in data["annotations"]:
            if entry["category_id"] == PERSON_CATEGORY_ID:
                pictures[entry["image_id"]].annotations.append(_annotation(entry))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{annotations} is not a COCO annotation file ({error!r}); "
            "expected images (id, file_name, width, height) and annotations "
            "(image_id, category_id, bbox and, where known, segmentation)"
        ) from error
    return list(pictures.values())


def box_pixels(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels of an image that a box touches."""
    x1, y1, x2, y2 = box_xyxy
    height, width = size_hw
    rows = slice(max(0, math.floor(y1)), max(0, min(height, math.ceil(y2))))
    return rows, slice(max(0, math.floor(x1)), max(0, min(width, math.ceil(x2))))


def _annotation(entry: dict[str, Any]) -> Annotation:
    x, y, width, height = entry["bbox"]
    known = entry.get("mask") != "none"
    segmentation = (entry.get("segmentation") or None) if known else None
    return Annotation((x, y, x + width, y + height), segmentation, bool(entry.get("iscrowd", 0)))
