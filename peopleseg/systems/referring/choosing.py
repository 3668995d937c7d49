"""Which person points mean."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.contract import MAX_POINTS, OFF, ON, PADDING, POINTS
from peopleseg.systems.referring.limits import check_prompts

NEARBY = 0.1  # most that a point beside a mask says for its person
REACH = 0.25  # of the root of the box's area, in which that falls to a third
FLOOR = 1e-6  # probability that a point is on anybody
_NO_POINT = np.array([0, 0, PADDING], np.float32)


def by_points(
    points: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    masks: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """(P, N): the person's score, times how probable it is that all points are where they say.

    That is the geometric mean of the mask's probabilities at the points that are on the person, and
    of 1 less it at the others. Beside every mask, the nearest box counts a little, so that a click
    that just misses finds somebody. points: (P, K, 3) as `checked_points` returns them; boxes_xyxy:
    (N, 4) image pixels; scores: (N,); masks: (N, h, w) probability x 255 over the box.
    """
    on = (
        np.stack(
            [_at(points[..., :2], box, mask) for box, mask in zip(boxes_xyxy, masks, strict=True)],
            -1,
        )
        if len(boxes_xyxy)
        else np.zeros((*points.shape[:2], 0), np.float32)
    )
    labels = points[..., 2, None]
    likely = np.where(labels == OFF, 1 - on, on).clip(FLOOR, 1)
    counted = labels != PADDING
    mean = (np.log(likely) * counted).sum(axis=1) / counted.sum(axis=1)
    return (np.exp(mean) * scores).astype(np.float32)


def checked_points(points: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.float32]:
    """The points of a request, padding at 0, 0 whatever stood there. Raises InvalidInput.

    points: (P, K, 3) x, y in pixels of the image, and ON, OFF or PADDING.
    """
    prompts, count = points.shape[:2]
    check_prompts(POINTS.name, prompts)
    if count > MAX_POINTS:
        raise InvalidInput(f"points has {count} points a prompt, expected at most {MAX_POINTS}")
    for number, prompt in enumerate(points):
        labels = prompt[:, 2]
        strange = labels[~np.isin(labels, (ON, OFF, PADDING))]
        if len(strange):
            raise InvalidInput(
                f"prompt {number} of points has the label {strange[0]:g}, expected {ON} on the "
                f"person, {OFF} not on the person or {PADDING} for no point"
            )
        if not (labels == ON).any():
            raise InvalidInput(
                f"prompt {number} of points has no point with label {ON} among its {count}; give "
                "one on the person"
            )
        placed = prompt[labels != PADDING, :2]
        inside = (placed >= 0) & (placed <= (letterbox.width, letterbox.height))
        if not inside.all():  # also for NaN
            x, y = placed[~inside.all(axis=1)][0]
            raise InvalidInput(
                f"prompt {number} of points has the point {x:g}, {y:g}, which is not in the image "
                f"of {letterbox.width} x {letterbox.height} pixels"
            )
    return np.where(points[..., 2:] == PADDING, _NO_POINT, points)


def _at(
    places_xy: NDArray[np.float32], box_xyxy: NDArray[np.float32], mask: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(...,) in [0, 1]: whether places (..., 2) of the image are on the person."""
    low, high = box_xyxy[:2], box_xyxy[2:]
    sides = np.maximum(high - low, FLOOR)
    cells = np.array(mask.shape[::-1])
    column, row = np.moveaxis(
        ((places_xy - low) / sides * cells).astype(int).clip(0, cells - 1), -1, 0
    )
    away = np.maximum(np.maximum(low - places_xy, places_xy - high), 0)
    distance = np.hypot(away[..., 0], away[..., 1])
    inside = distance == 0
    near = NEARBY * np.exp(-distance / (REACH * np.sqrt(sides.prod())))
    return np.maximum(inside * mask[row, column] / np.float32(255), near).astype(np.float32)
