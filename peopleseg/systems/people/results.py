"""Write results: whole files or none, and people as COCO results."""

from collections.abc import Iterable
from typing import Any

from peopleseg.labels.coco import PERSON_CATEGORY_ID
from peopleseg.systems.people.person import Person


def coco_results(people: Iterable[Person], image_id: int) -> list[dict[str, Any]]:
    """https://cocodataset.org/#format-results, boxes and masks in one: bbox is x, y, w, h."""
    return [
        {
            "image_id": image_id,
            "category_id": PERSON_CATEGORY_ID,
            "bbox": [round(side, 3) for side in _xywh(person.box_xyxy)],
            "score": round(person.score, 6),
            "segmentation": person.rle,
        }
        for person in people
    ]


def _xywh(box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box_xyxy
    return x1, y1, x2 - x1, y2 - y1
