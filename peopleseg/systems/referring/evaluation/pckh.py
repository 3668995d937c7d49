"""Which keypoints are right, measured by the head: PCKh."""

import numpy as np
from numpy.typing import NDArray

EARS = (3, 4)  # the left and the right one, of COCO's keypoints
WITHIN = 0.5  # head lengths, in which a keypoint is right


def head_length(true: NDArray[np.floating], known: NDArray[np.bool_]) -> float | None:
    """The distance between the ears, pixels; None where one is not known or they are at one place.

    As RefHuman measures it, whose annotations have no box of the head. true: (17, 2) x, y;
    known: (17,).
    """
    left, right = EARS
    if not (known[left] and known[right]):
        return None
    return float(np.linalg.norm(true[left] - true[right])) or None


def keypoints_right(
    found: NDArray[np.floating] | None, true: NDArray[np.floating], known: NDArray[np.bool_]
) -> tuple[int, int]:
    """How many of the known keypoints are right, and how many are judged: none without a head.

    found: None where nobody was; found, true: (17, 2) x, y in pixels; known: (17,).
    """
    length = head_length(true, known)
    if length is None:
        return 0, 0
    judged = int(known.sum())
    if found is None:
        return 0, judged
    distances = np.linalg.norm(np.asarray(found, np.float64) - true, axis=1)[known]
    return int((distances <= WITHIN * length).sum()), judged
