"""Write results: whole files or none, and people as COCO results."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clients.person import Person
from peopleseg.coco import PERSON_CATEGORY_ID
from peopleseg.files import write_atomically


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


def write_png(path: Path, image_rgb: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 RGB image, whole or not at all. Raises OSError."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    write_atomically(path, encoded.tobytes())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all. Raises OSError."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def _xywh(box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box_xyxy
    return x1, y1, x2 - x1, y2 - y1
