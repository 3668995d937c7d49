"""Whether two responses of the same versions to one image agree, but for rounding."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from peopleseg.pixels.masks import decode_rle
from peopleseg.systems.people.agreement import BOX_TOLERANCE, BOX_TOLERANCE_PX, SCORE_TOLERANCE
from peopleseg.systems.system import Response

LEAST_IOU = 0.9  # of two masks of one person
KEYPOINT_TOLERANCE = 0.05  # of the longer side of the box, the mean over the joints in sight
IN_SIGHT = 0.5  # visibility
SURE = 0.1  # a score below it may as well be another's


def unlike(folders: Mapping[str, Path], found: Response, expected: Response) -> str | None:
    """How two responses of one ensemble differ; None within the tolerances above."""
    return next(_differences(found, expected), None)


def _differences(found: Response, expected: Response) -> Iterator[str]:
    for name, values in expected.items():
        if found[name].shape != values.shape:
            yield f"{name} has shape {list(found[name].shape)} instead of {list(values.shape)}"
            return
    for prompt, score in enumerate(expected["scores"].tolist()):
        gap = abs(float(found["scores"][prompt]) - score)
        if not gap <= SCORE_TOLERANCE:  # also for NaN
            yield f"prompt {prompt} has score {found['scores'][prompt]:.3f} instead of {score:.3f}"
        if score >= SURE:
            yield from _another(prompt, found, expected)


def _another(prompt: int, found: Response, expected: Response) -> Iterator[str]:
    ours, theirs = (decode_rle(one["rles"][prompt]) > 0 for one in (found, expected))
    union = (ours | theirs).sum()
    iou = (ours & theirs).sum() / union if union else 1.0
    if iou < LEAST_IOU:
        yield f"the masks of prompt {prompt} have an IoU of {iou:.2f}, less than {LEAST_IOU}"
    box = expected["boxes"][prompt]
    longer_side = max(box[2:] - box[:2])
    off = np.abs(found["boxes"][prompt] - box).max()
    if not off <= max(BOX_TOLERANCE_PX, BOX_TOLERANCE * longer_side):  # also for NaN
        yield f"an edge of the box of prompt {prompt} is off by {off:.1f} pixels"
    joints = expected["keypoints"][prompt]
    seen = joints[:, 2] >= IN_SIGHT
    if not seen.any():
        return
    moved = np.linalg.norm(found["keypoints"][prompt, seen, :2] - joints[seen, :2], axis=1).mean()
    if not moved <= KEYPOINT_TOLERANCE * longer_side:
        yield f"the keypoints of prompt {prompt} are {moved:.1f} pixels apart in the mean"
