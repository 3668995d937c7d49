"""People whom a teacher finds where the labels say nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from peopleseg.networks.torchvision_ops import declare_missing_ops
from training.losses.detection import anchors_within
from training.teachers.teacher import Found

declare_missing_ops()

from torchvision.ops import box_iou  # noqa: E402  (after declare_missing_ops)

LEAST_SCORE = 0.5  # from which someone found counts as a label
SAME_IOU = 0.5  # with a label, from which it is the same person


def filled_in(
    boxes_xyxy: Sequence[Tensor], ignored_xyxy: Sequence[Tensor], found: Sequence[Found]
) -> list[Tensor]:
    """The labels of each image [n, 4], and whom the teacher found in its regions to ignore.

    Those are the ones whose box has its centre in such a region [r, 4] and is no label's.
    """
    return [
        torch.cat((labels, people.boxes_xyxy[_new(people, labels, regions)]))
        for labels, regions, people in zip(boxes_xyxy, ignored_xyxy, found, strict=True)
    ]


def _new(people: Found, labels: Tensor, regions: Tensor) -> Tensor:
    """Bool [n]."""
    boxes = people.boxes_xyxy
    (inside,) = anchors_within((boxes[:, :2] + boxes[:, 2:]) / 2, [regions])
    known = (box_iou(boxes, labels) > SAME_IOU).any(dim=1)
    return inside & ~known & (people.scores >= LEAST_SCORE)
