"""The metrics of a detector's boxes.

box_ap, box_ap50
    COCO's average precision over IoU 0.50:0.95 and at 0.50.
box_recall
    The part of the people, crowds aside, whose box some box of a score of at least RECALL_SCORE
    overlaps with an IoU of at least RECALL_IOU.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from peopleseg.labels.coco import PERSON_CATEGORY_ID, AnnotatedImage
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE, average_precision
from peopleseg.systems.people.selection import found_people

BOX_AP, BOX_AP50, BOX_RECALL = "box_ap", "box_ap50", "box_recall"
RECALL_SCORE = 0.05  # a person's, from which on a box counts as found
RECALL_IOU = 0.5

Rows = NDArray[np.float32]  # (n, 5): x1, y1, x2, y2 in image pixels, and score


def found_boxes(predictions: NDArray[np.float32], letterbox: Letterbox) -> Rows:
    """Who enters an AP among a detector's predictions (5, anchors), selected as they are served."""
    found = found_people(predictions, letterbox, AP_MIN_SCORE)
    boxes = letterbox.boxes_to_image(found.rois[:, 1:])
    return np.concatenate((boxes, found.scores[:, None]), axis=1, dtype=np.float32)


def box_metrics(found: Mapping[int, Rows], images: Mapping[int, AnnotatedImage]) -> dict[str, Any]:
    """Of the images that were looked at, by id, beside the truth of these and others.

    None for a metric without anybody to find.
    """
    looked_at = [images[image_id] for image_id in found]
    results = [entry for image_id, rows in found.items() for entry in _results(image_id, rows)]
    ap, ap50 = average_precision(looked_at, results, "bbox")
    return {BOX_AP: ap, BOX_AP50: ap50, BOX_RECALL: _recall(looked_at, found)}


def _results(image_id: int, rows: Rows) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id,
            "category_id": PERSON_CATEGORY_ID,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for x1, y1, x2, y2, score in rows.tolist()
    ]


def _recall(images: list[AnnotatedImage], found: Mapping[int, Rows]) -> float | None:
    people = hits = 0
    for image in images:
        rows = found[image.id]
        true = _xywh(np.array([p.box_xyxy for p in image.people]))
        boxes = _xywh(rows[rows[:, 4] >= RECALL_SCORE, :4])
        people += len(true)
        if len(true) and len(boxes):
            ious = coco_mask.iou(boxes, true, [0] * len(true))
            hits += int((ious.max(axis=0) >= RECALL_IOU).sum())
    return hits / people if people else None


def _xywh(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    boxes = boxes_xyxy.reshape(-1, 4).astype(np.float64)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
