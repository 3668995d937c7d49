"""COCO's average precision where every prompt means one person and groups are guesses at it.

The same numbers as pycocotools gives for one true person an image, of masks and of keypoints alike,
from how well each group fits. So neither masks nor poses of all groups need to be kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of a fit, from which on a group is right
RECALLS = np.linspace(0, 1, 101)  # at which precision is read

Floats = NDArray[np.float64]


class AveragePrecision(NamedTuple):
    """None where there is nobody to find."""

    ap: float | None  # mean over THRESHOLDS
    ap50: float | None  # at 0.50


def average_precision(scores: Sequence[Floats], fits: Sequence[Floats]) -> AveragePrecision:
    """Of prompts, each with (G,) scores and (G,) fits of its groups: the OKS, or the masks' IoU.

    G may be 0 and differ; all groups count, where pycocotools takes the 20 best poses and the 100
    best masks. Of equal scores the first comes first.
    """
    if not scores:
        return AveragePrecision(None, None)
    best_first = [np.argsort(-one, kind="stable") for one in scores]
    ranked = np.concatenate([one[order] for one, order in zip(scores, best_first, strict=True)])
    right = np.concatenate(
        [_right(one[order]) for one, order in zip(fits, best_first, strict=True)], axis=1
    )
    right = right[:, np.argsort(-ranked, kind="stable")]
    precisions = [_mean_precision(row, len(scores)) for row in right]
    return AveragePrecision(float(np.mean(precisions)), precisions[0])


def _right(fits: Floats) -> NDArray[np.bool_]:
    """(thresholds, G): the best group that fits; every further one finds nobody left."""
    fitting = fits[None] >= THRESHOLDS[:, None]
    return fitting & (fitting.cumsum(axis=1) == 1)


def _mean_precision(right: NDArray[np.bool_], people: int) -> float:
    """Mean over RECALLS of the best precision at that recall or a higher one; 0 beyond the last."""
    found = right.cumsum()
    precision = found / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / people, RECALLS, side="left")
    return float(np.append(best_from_here, 0.0)[places].mean())
