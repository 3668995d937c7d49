"""People whom a teacher finds where the labels say nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.teachers.teacher import People

LEAST_SCORE = 0.5  # from which someone found counts as a label
SAME_IOU = 0.5  # with a label, from which it is the same person


def filled_in(
    boxes_xyxy: Sequence[Tensor], ignored_xyxy: Sequence[Tensor], found: Sequence[People]
) -> list[Tensor]:
    """The labels of each image [n, 4], and whom the teacher found in its regions to ignore.

    Those are the ones whose box has its centre in such a region [r, 4] and is no label's.
    """
    return [
        torch.cat((labels, people.boxes_xyxy[_new(people, labels, regions)]))
        for labels, regions, people in zip(boxes_xyxy, ignored_xyxy, found, strict=True)
    ]


def _new(people: People, labels: Tensor, regions: Tensor) -> Tensor:
    """Bool [n]."""
    boxes = people.boxes_xyxy
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    inside = ((centres > regions[:, :2]) & (centres < regions[:, 2:])).all(dim=2).any(dim=1)
    known = (_iou(boxes, labels) > SAME_IOU).any(dim=1)
    return inside & ~known & (people.scores >= LEAST_SCORE)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """[n, 4] and [m, 4] xyxy to [n, m]."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(dim=1) for x in (a, b))
    return overlap / (area_a[:, None] + area_b - overlap).clamp(min=1e-9)
