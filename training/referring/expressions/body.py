"""The parts of a body whose keypoints are known; y grows downwards."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX, VISIBLE

Keypoints = NDArray[np.float32]  # (17, 3) x, y, visibility
Point = NDArray[np.float32]  # x, y

UPRIGHT = 0.85  # of the torso's length is how far it reaches down, at least


def is_visible(keypoints: Keypoints, name: str) -> bool:
    return bool(keypoints[INDEX[name], 2] == VISIBLE)


def has_feet(keypoints: Keypoints) -> bool:
    """Whether both ankles are known."""
    return bool((keypoints[[INDEX["left_ankle"], INDEX["right_ankle"]], 2] > 0).all())


class Body:
    """Torso, legs and shoulders, in pixels."""

    def __init__(self, keypoints: Keypoints) -> None:
        self._keypoints = keypoints
        self.spine = np.zeros(2, np.float32)  # x, y from the shoulders to the hips
        ends = [self._middle("shoulder"), self._middle("hip")]
        if ends[0] is not None and ends[1] is not None:
            self.spine = ends[1] - ends[0]
        self.torso = float(np.hypot(*self.spine))  # its length; 0 where it is not known

    def at(self, name: str) -> Point | None:
        x, y, visibility = self._keypoints[INDEX[name]]
        return np.array((x, y), np.float32) if visibility > 0 else None

    def is_upright(self) -> bool:
        return self.torso > 0 and bool(self.spine[1] >= UPRIGHT * self.torso)

    def legs(self) -> list[tuple[Point, Point, Point]]:
        """Hip, knee, ankle of the legs of which all are known."""
        found = []
        for side in ("left", "right"):
            hip, knee, ankle = (self.at(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
            if hip is not None and knee is not None and ankle is not None:
                found.append((hip, knee, ankle))
        return found

    def shoulders_across(self) -> float:
        """How far the right shoulder is to the right of the left one; 0 where one is not known."""
        left, right = self.at("left_shoulder"), self.at("right_shoulder")
        return 0.0 if left is None or right is None else float(right[0] - left[0])

    def _middle(self, name: str) -> Point | None:
        left, right = self.at(f"left_{name}"), self.at(f"right_{name}")
        return None if left is None or right is None else (left + right) / 2
