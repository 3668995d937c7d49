"""How alike two poses are: COCO's object keypoint similarity (OKS)."""

import numpy as np
from numpy.typing import NDArray

# How far annotators differ, a share of the root of the area, of COCO's 17 keypoints in its order:
# nose, then left and right of eyes, ears, shoulders, elbows, wrists, hips, knees and ankles
# (https://cocodataset.org/#keypoints-eval).
SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
KEYPOINTS = len(SIGMAS)


def oks(
    found: NDArray[np.floating],
    true: NDArray[np.floating],
    known: NDArray[np.bool_],
    area: float,
) -> NDArray[np.float64]:
    """(G,) in [0, 1] of G poses, NaN where no keypoint is known.

    The mean over the known keypoints of exp(-d^2 / (2 area (2 sigma)^2)), d being the distance.
    found: (G, 17, 2), true: (17, 2), both x, y in pixels; known: (17,); area: of the person, in
    square pixels, from 0 on.
    """
    if not known.any():
        return np.full(len(found), np.nan)
    squares = ((np.asarray(found, np.float64) - true)[:, known] ** 2).sum(axis=2)
    spread = 2 * (2 * np.array(SIGMAS)[known]) ** 2 * (area + np.spacing(1.0))  # as pycocotools
    return np.exp(-squares / spread).mean(axis=1)
