"""The loss of YOLOv9: task-aligned assignment, CIoU, distribution focal loss, BCE.

TOOD (arXiv:2108.07755) for the assignment, CIoU (arXiv:1911.08287), generalized focal loss
(arXiv:2006.04388); gains and exponents as in models.md C5.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.yolov9_blocks import Detect, anchor_points

BOX_GAIN, CLASS_GAIN, DFL_GAIN = 7.5, 0.5, 1.5
SCORE_POWER, IOU_POWER, CANDIDATES = 0.5, 6.0, 10


class DetectionLosses(NamedTuple):
    box: Tensor
    classes: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        return BOX_GAIN * self.box + CLASS_GAIN * self.classes + DFL_GAIN * self.dfl


def detection_losses(detect: Detect, maps: list[Tensor], boxes: list[Tensor]) -> DetectionLosses:
    """Losses of one batch for a person-only head.

    maps: the head's raw training outputs. boxes: one [people, 4] xyxy float tensor an image, in
    input pixels; empty where there is nobody.
    """
    centres, strides = anchor_points(maps, detect.strides)  # [A, 2] cells, [A]
    flat = torch.cat([m.flatten(2) for m in maps], dim=2).float()
    distribution, logits = flat.split((4 * detect.reg_max, detect.classes), dim=1)
    distances = detect.distances(distribution).transpose(1, 2)  # [B, A, 4] in cells
    predicted = torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), dim=-1)
    logits = logits[:, 0]  # [B, A]

    assigned = [
        _assign(score, box * strides[:, None], centres * strides[:, None], truth)
        for score, box, truth in zip(
            logits.detach().sigmoid(), predicted.detach(), boxes, strict=True
        )
    ]
    target_scores = torch.stack([a.scores for a in assigned])  # [B, A]
    target_boxes = torch.stack([a.boxes for a in assigned]) / strides[:, None]  # cells
    normaliser = target_scores.sum().clamp(min=1)
    classes = F.binary_cross_entropy_with_logits(logits, target_scores, reduction="sum")

    found = target_scores > 0
    weights = target_scores[found]
    box = ((1 - ciou(predicted[found], target_boxes[found])) * weights).sum()
    cells = centres.expand(len(boxes), -1, -1)[found]
    sides = torch.cat((cells - target_boxes[found][:, :2], target_boxes[found][:, 2:] - cells), 1)
    bins = distribution.transpose(1, 2)[found].view(-1, 4, detect.reg_max)
    dfl = (distribution_focal_loss(bins, sides) * weights).sum()
    return DetectionLosses(box / normaliser, classes / normaliser, dfl / normaliser)


class _Assigned(NamedTuple):
    scores: Tensor  # [A] soft class target, 0 where unassigned
    boxes: Tensor  # [A, 4] xyxy pixels


@torch.no_grad()
def _assign(scores: Tensor, predicted: Tensor, centres: Tensor, truth: Tensor) -> _Assigned:
    """Give each true box its best anchors; an anchor goes to the box that it overlaps most."""
    anchors = len(scores)
    if len(truth) == 0:
        return _Assigned(scores.new_zeros(anchors), scores.new_zeros(anchors, 4))
    inside = (
        torch.cat(
            (centres[None] - truth[:, None, :2], truth[:, None, 2:] - centres[None]), dim=-1
        ).amin(dim=-1)
        > 0
    )  # [G, A]
    overlap = ciou(truth[:, None], predicted[None]).clamp(min=0) * inside  # [G, A]
    metric = scores**SCORE_POWER * overlap**IOU_POWER
    best, indices = metric.topk(min(CANDIDATES, anchors), dim=1)
    candidate = torch.zeros_like(inside).scatter_(1, indices, best > 0)
    owner = torch.where(candidate, overlap, -1.0).argmax(dim=0)  # [A]
    candidate &= F.one_hot(owner, len(truth)).T.bool()
    metric = metric * candidate
    # The best anchor of each box gets its overlap as target, the others in proportion.
    ratio = (overlap * candidate).amax(1, keepdim=True) / metric.amax(1, keepdim=True).clamp(1e-9)
    return _Assigned((metric * ratio).amax(dim=0), truth[owner])


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of xyxy boxes, broadcast over the leading axes; [-1, 1]."""
    epsilon = 1e-7
    aw, ah = a[..., 2] - a[..., 0], a[..., 3] - a[..., 1]
    bw, bh = b[..., 2] - b[..., 0], b[..., 3] - b[..., 1]
    overlap_wh = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = overlap_wh.clamp(min=0).prod(dim=-1)
    iou = intersection / (aw * ah + bw * bh - intersection + epsilon)
    hull_wh = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = hull_wh.pow(2).sum(dim=-1) + epsilon
    offset = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).pow(2).sum(dim=-1) / 4
    aspect = torch.atan(aw / (ah + epsilon)) - torch.atan(bw / (bh + epsilon))
    v = 4 / math.pi**2 * aspect.pow(2)
    with torch.no_grad():
        alpha = v / (v - iou + 1 + epsilon)
    return iou - offset / diagonal - alpha * v


def distribution_focal_loss(bins: Tensor, sides: Tensor) -> Tensor:
    """Cross-entropy to the two bins around each side, [n].

    bins: [n, 4, reg_max] logits; sides: [n, 4] cells.
    """
    reg_max = bins.shape[-1]
    sides = sides.clamp(0, reg_max - 1 - 0.01)
    left = sides.long()
    log_probability = bins.log_softmax(dim=-1)
    lower = log_probability.gather(2, left[..., None])[..., 0]
    upper = log_probability.gather(2, left[..., None] + 1)[..., 0]
    weight = sides - left
    return -(lower * (1 - weight) + upper * weight).mean(dim=1)
