"""What one prompt adds to the metrics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.oks import oks
from peopleseg.systems.referring.evaluation.pckh import keypoints_right

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Of the best group's mask and the true one."""

    intersection: int = 0  # pixels
    union: int = 0  # pixels; 0 where no mask is known or none was asked for
    told_apart: bool | None = None  # None where no mask of anybody else is known

    @property
    def iou(self) -> float:
        """A mask must be known."""
        return self.intersection / self.union


@dataclass(frozen=True)
class Measured:
    """One prompt's answer beside the truth."""

    scores: NDArray[np.float64]  # (G,)
    oks: NDArray[np.float64]  # (G,), NaN where no keypoint is known
    ious: NDArray[np.float64]  # (G,), NaN of a group without a mask and where none is known
    pose_known: bool
    keypoints_right: int  # of the best group
    keypoints_judged: int
    overlap: Overlap
    chance: float | None = None  # that the person meant is anybody of the image


def measure(found: Groups, true: TruePerson) -> Measured:
    """Of one prompt. Raises ValueError for masks of another size than the true one."""
    best = None if found.best is None else found.keypoints[found.best]
    right, judged = keypoints_right(best, true.keypoints, true.known)
    ious, overlap = _compared(found, true)
    return Measured(
        scores=np.asarray(found.scores, np.float64),
        oks=oks(found.keypoints, true.keypoints, true.known, true.area),
        ious=ious,
        pose_known=bool(true.known.any()),
        keypoints_right=right,
        keypoints_judged=judged,
        overlap=overlap,
        chance=None if true.among is None else 1 / true.among,
    )


def _compared(found: Groups, true: TruePerson) -> tuple[NDArray[np.float64], Overlap]:
    """IoU of every group, and what the best group's mask overlaps."""
    ious = np.full(len(found.scores), np.nan)
    if found.masks is None or true.mask is None or not (true.mask == 1).any():
        return ious, Overlap()
    if found.masks.shape[1:] != true.mask.shape:
        raise ValueError(
            f"masks of {found.masks.shape[1:]} beside a true one of {true.mask.shape}; compare "
            "both in the image's pixels"
        )
    known = true.mask != UNKNOWN
    person = true.mask[known] == 1
    nothing = np.zeros_like(person)
    masks = {n: mask[known] for n, mask in zip(found.masked_groups, found.masks, strict=True)}
    for number, mask in masks.items():
        ious[number] = _iou(mask, person)
    answer = nothing if found.best is None else masks[found.best]
    others = [_iou(answer, other[known] == 1) for other in true.others]
    return ious, Overlap(
        intersection=int((answer & person).sum()),
        union=int((answer | person).sum()),
        told_apart=_iou(answer, person) > max(others) if others else None,
    )


def _iou(found: Bools, true: Bools) -> float:
    """0 of two masks without a pixel, as pycocotools has it."""
    return float((found & true).sum() / max((found | true).sum(), 1))
