"""From a detector's predictions, or a caller's boxes, to rois."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox, clip_boxes
from peopleseg.systems.people.contract import MAX_PEOPLE, MIN_SCORE_PARAMETER, NO_PERSON_SCORE
from peopleseg.systems.people.scores import GIVEN_SCORE, ScoreFit

MIN_SCORE = 0.05  # of a person, [0, 1]
SMALLEST_MIN_SCORE = 0.001  # that a request may ask for; below it every anchor is a candidate
MAX_IOU = 0.5  # of two people's boxes; above it the one with the lower score is dropped
LARGEST_COORDINATE_PX = 1e6  # of a caller's box; float32 overflows in RoIAlign near its own limit
SMALLEST_SIDE_PX = 1.0  # of a box within the image or the square


class Rois(NamedTuple):
    """Regions of one image: rois (N, 5) float32 batch index, x1, y1, x2, y2 in network pixels."""

    rois: NDArray[np.float32]
    scores: NDArray[np.float32]  # (N,)

    @classmethod
    def of(cls, boxes_xyxy: NDArray[np.floating], scores: NDArray[np.floating]) -> "Rois":
        """From (N, 4) boxes in network pixels.

        Nobody becomes one dummy roi, because the batching head cannot run on none; `is_person`
        tells it apart afterwards.
        """
        if len(boxes_xyxy) == 0:
            boxes_xyxy = np.array([[0, 0, INPUT_SIZE, INPUT_SIZE]], dtype=np.float32)
            scores = np.array([NO_PERSON_SCORE], dtype=np.float32)
        batch_index = np.zeros((len(boxes_xyxy), 1), dtype=np.float32)
        rois = np.concatenate((batch_index, boxes_xyxy), axis=1)
        return cls(rois.astype(np.float32), np.asarray(scores, dtype=np.float32))


def is_person(scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N,) False for the dummy roi that stands for nobody."""
    return scores != NO_PERSON_SCORE  # type: ignore[no-any-return]


def select_people(
    predictions: NDArray[np.floating],
    letterbox: Letterbox,
    *,
    min_score: float = MIN_SCORE,
    max_iou: float = MAX_IOU,
    score_fit: ScoreFit | None = None,
) -> Rois:
    """The people among the anchors of one image, best score first, after non-maximum suppression.

    predictions: (5, anchors) cx, cy, w, h in network pixels and score in [0, 1]. min_score: of the
    response; with a score_fit, whoever may reach it by a clear mask is taken. Of more than
    MAX_PEOPLE the best are taken. The rois are cut to the image; one that lies in the letterbox's
    border alone is nobody.
    """
    if score_fit is not None:
        min_score = score_fit.least_detection(min_score)
    candidates = predictions[:, predictions[4] >= min_score]
    centres, sizes, scores = candidates[:2].T, candidates[2:4].T, candidates[4]
    boxes = letterbox.clip_to_content(
        np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)
    )
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST_SIDE_PX
    boxes, scores = boxes[large], scores[large]
    best = suppressed(boxes, scores, min_score, max_iou)[:MAX_PEOPLE]
    below = np.nextafter(np.float32(GIVEN_SCORE), np.float32(0))  # a sigmoid may round to 1
    return Rois.of(boxes[best], np.minimum(scores[best], below))


def found_people(
    predictions: NDArray[np.floating], letterbox: Letterbox, min_score: float = MIN_SCORE
) -> Rois:
    """As `select_people` without a fit, where nobody are no rois."""
    found = select_people(predictions, letterbox, min_score=min_score)
    people = is_person(found.scores)
    return Rois(found.rois[people], found.scores[people])


def suppressed(
    boxes_xyxy: NDArray[np.floating],
    scores: NDArray[np.floating],
    min_score: float,
    max_iou: float,
) -> NDArray[np.int64]:
    """Non-maximum suppression of boxes (N, 4) with scores (N,): whose are kept, best first."""
    boxes_xywh = np.concatenate((boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]), axis=1)
    kept = cv2.dnn.NMSBoxes(boxes_xywh.tolist(), scores.tolist(), min_score, max_iou)
    return np.asarray(kept, dtype=np.int64).reshape(-1)


def min_score_of(parameters: Mapping[str, Any]) -> dict[str, float]:
    """A request's parameter of that name, checked, where it has one. Raises InvalidInput."""
    if MIN_SCORE_PARAMETER not in parameters:
        return {}
    return {MIN_SCORE_PARAMETER: requested_min_score(parameters[MIN_SCORE_PARAMETER])}


def requested_min_score(value: object) -> float:
    """The min_score that a request asks for. Raises InvalidInput for anything but a fit number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not SMALLEST_MIN_SCORE <= value <= 1:  # type: ignore[operator]
        raise InvalidInput(
            f"min_score is {value!r}; expected a number from {SMALLEST_MIN_SCORE} to 1"
        )
    return float(value)  # type: ignore[arg-type]


def boxes_to_rois(boxes_xyxy: NDArray[np.float32], letterbox: Letterbox) -> Rois:
    """A caller's boxes in image pixels as rois in the same order, with GIVEN_SCORE.

    A box may reach over the image's edge: its mask lies over the box as it was sent.

    Raises InvalidInput for more than MAX_PEOPLE boxes and for a box that is not finite, reversed,
    empty or wholly outside the image.
    """
    if len(boxes_xyxy) > MAX_PEOPLE:
        raise InvalidInput(
            f"boxes has {len(boxes_xyxy)} rows, more than the limit of {MAX_PEOPLE}; "
            "split them over several requests"
        )
    clipped = clip_boxes(boxes_xyxy, letterbox.width, letterbox.height)
    for row, (box, inside) in enumerate(zip(boxes_xyxy, clipped, strict=True)):
        fault = _fault(box, inside)
        if fault:
            sent = [round(float(v), 2) for v in box]
            raise InvalidInput(
                f"boxes[{row}] = {sent} {fault}; expected x1 < x2, y1 < y2 in "
                f"pixels of the {letterbox.width} x {letterbox.height} image"
            )
    scores = np.full(len(boxes_xyxy), GIVEN_SCORE, dtype=np.float32)
    return Rois.of(letterbox.boxes_to_network(boxes_xyxy), scores)


def _fault(box: NDArray[np.float32], inside: NDArray[np.float32]) -> str | None:
    x1, y1, x2, y2 = box
    if not np.isfinite(box).all():
        return "is not finite"
    if np.abs(box).max() > LARGEST_COORDINATE_PX:
        return f"has a coordinate beyond {LARGEST_COORDINATE_PX:g}"
    if x2 < x1 or y2 < y1:
        return "is reversed"
    if x1 == x2 or y1 == y2:
        return "is empty"
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return "lies outside the image"
    return None
