"""Made-up keypoints of people in poses that nobody would dispute."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX, VISIBLE

# x, y of a person of height 10 who faces us: the left shoulder is on the right.
_FRONT = {
    "nose": (0, 1),
    "left_eye": (0.3, 0.8),
    "right_eye": (-0.3, 0.8),
    "left_ear": (0.6, 0.9),
    "right_ear": (-0.6, 0.9),
    "left_shoulder": (1, 2),
    "right_shoulder": (-1, 2),
    "left_elbow": (1.3, 3.5),
    "right_elbow": (-1.3, 3.5),
    "left_wrist": (1.4, 4.9),
    "right_wrist": (-1.4, 4.9),
    "left_hip": (0.7, 5),
    "right_hip": (-0.7, 5),
    "left_knee": (0.7, 7.4),
    "right_knee": (-0.7, 7.4),
    "left_ankle": (0.7, 9.7),
    "right_ankle": (-0.7, 9.7),
}
_SEATED = {
    "left_knee": (2.6, 5.2),
    "right_knee": (2.4, 5.1),
    "left_ankle": (2.7, 7.6),
    "right_ankle": (2.5, 7.5),
}
_SQUATTING = {  # the feet are below the hips
    "left_knee": (2.1, 4.8),
    "right_knee": (0.8, 4.8),
    "left_ankle": (1.3, 6.6),
    "right_ankle": (0.0, 6.6),
}
_BENT = {
    "left_shoulder": (3.4, 4.6),
    "right_shoulder": (3.2, 4.4),
    "nose": (4.3, 5.0),
    "left_eye": (4.3, 4.8),
    "right_eye": (4.2, 4.8),
    "left_ear": (4.0, 4.6),
    "right_ear": (3.9, 4.6),
    "left_elbow": (3.5, 6.0),
    "right_elbow": (3.3, 6.0),
    "left_wrist": (3.5, 7.3),
    "right_wrist": (3.3, 7.3),
}
_ONE_UP = {"left_elbow": (1.5, 0.9), "left_wrist": (1.6, -0.6)}
_BOTH_UP = {**_ONE_UP, "right_elbow": (-1.5, 0.9), "right_wrist": (-1.6, -0.6)}
POSES = {
    "standing": {},
    "sitting": _SEATED,
    "squatting": _SQUATTING,
    "bending": _BENT,
    "one arm raised": _ONE_UP,
    "both arms raised": _BOTH_UP,
}


def skeleton(
    pose: str, *, x: float = 0.0, y: float = 0.0, height: float = 100.0
) -> NDArray[np.float32]:
    """(17, 3) x, y, visibility, all visible; x: of the middle, y: of the top.

    Besides POSES: "lying", "facing away" (no face is seen) and "unknown", of which nothing is.
    """
    points = np.array([_FRONT[name] for name in INDEX], np.float64)
    for name, place in POSES.get(pose, {}).items():
        points[INDEX[name]] = place
    if pose == "lying":
        points = points[:, ::-1] * (1, 0.3)
    if pose == "facing away":
        points[:, 0] *= -1
    seen = np.full((len(points), 1), VISIBLE)
    if pose == "facing away":
        seen[[INDEX[name] for name in ("nose", "left_eye", "right_eye")]] = 0
    if pose == "unknown":
        seen[:] = 0
    placed = points * height / 10 + (x, y)
    return np.hstack((placed * (seen > 0), seen)).astype(np.float32)
