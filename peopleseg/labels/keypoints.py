"""COCO's 17 keypoints of a person: their order, and what an annotation says of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.numbers import is_number

NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
COUNT = len(NAMES)
INDEX = {name: index for index, name in enumerate(NAMES)}
_SWAPPED = {"left": "right", "right": "left"}
# Which keypoint stands in each one's place once the image is flipped from left to right.
FLIPPED = tuple(
    INDEX["_".join((_SWAPPED.get(side, side), *part))]
    for side, *part in (name.split("_") for name in NAMES)
)
NOT_LABELLED, HIDDEN, VISIBLE = 0, 1, 2  # the third number of each keypoint


def keypoints_fault(values: Any) -> str | None:
    """Why a value is no keypoints as COCO writes them, 17 times x, y, visibility."""
    if not (isinstance(values, list) and len(values) == 3 * COUNT):
        length = f"{len(values)} values" if isinstance(values, list) else f"{values!r:.40}"
        return f"its keypoints are {length}, expected {3 * COUNT} numbers: x, y, visibility of each"
    wrong = [value for value in values if not is_number(value)]
    if wrong:
        return f"its keypoints hold {wrong[0]!r:.40}, expected finite numbers"
    strange = [value for value in values[2::3] if value not in (NOT_LABELLED, HIDDEN, VISIBLE)]
    if strange:
        return f"its keypoints hold the visibility {strange[0]}, expected 0, 1 or 2"
    return None


def read_keypoints(values: list[float] | None) -> NDArray[np.float32] | None:
    """(17, 3) x, y in image pixels and visibility, of values without a fault; None where none is
    labelled: COCO then says nothing of the pose, also not that it is hidden."""
    if values is None:
        return None
    points = np.array(values, np.float32).reshape(COUNT, 3)
    return points if (points[:, 2] > 0).any() else None
