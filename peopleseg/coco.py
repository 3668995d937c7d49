"""Read person annotations in COCO format."""

import json
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
    segmentation: Any  # polygons, or compressed or uncompressed RLE
    crowd: bool

    def mask(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) of 0 and 1."""
        from pycocotools import mask as coco_mask

        rle = self.segmentation
        if isinstance(rle, list):
            rle = coco_mask.merge(coco_mask.frPyObjects(rle, height, width))
        elif isinstance(rle["counts"], list):
            rle = coco_mask.frPyObjects(rle, height, width)
        return coco_mask.decode(rle)  # type: ignore[no-any-return]


@dataclass
class Picture:
    """One image of a data set with everybody in it."""

    id: int
    path: Path
    width: int
    height: int
    annotations: list[Annotation] = field(default_factory=list)

    @property
    def people(self) -> list[Annotation]:
        """Everybody but the crowds, in the order of the file."""
        return [a for a in self.annotations if not a.crowd]


def load_pictures(annotations: Path, images: Path) -> list[Picture]:
    """All images of a COCO file, in its order, with their person annotations.

    Raises ValueError when the file is not in COCO format.
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
                x, y, width, height = entry["bbox"]
                crowd = bool(entry.get("iscrowd", 0))
                person = Annotation((x, y, x + width, y + height), entry["segmentation"], crowd)
                pictures[entry["image_id"]].annotations.append(person)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{annotations} is not a COCO annotation file ({error!r}); "
            "expected images (id, file_name, width, height) and annotations "
            "(image_id, category_id, bbox, segmentation)"
        ) from error
    return list(pictures.values())
