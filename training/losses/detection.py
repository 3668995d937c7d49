"""The loss of YOLOv9: task-aligned assignment, CIoU, distribution focal loss, BCE.

TOOD (arXiv:2108.07755) for the assignment, CIoU (arXiv:1911.08287), generalized focal loss
(arXiv:2006.04388); gains and exponents of YOLOv9 (arXiv:2402.13616). The published training also
multiplies by the batch size.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.people.yolov9_blocks import Detect, anchor_points

BOX_GAIN, CLASS_GAIN, DFL_GAIN = 7.5, 0.5, 1.5
AUXILIARY_GAIN = 0.25  # of the auxiliary branch, against the main one
SCORE_POWER, IOU_POWER, CANDIDATES = 0.5, 6.0, 10


class DetectionLosses(NamedTuple):
    """Scalars, without the gains; `total` has them."""

    box: Tensor
    classes: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        return BOX_GAIN * self.box + CLASS_GAIN * self.classes + DFL_GAIN * self.dfl


class Assignment(NamedTuple):
    """The anchors that stand for a person, n in all, each for one."""

    images: Tensor  # [n] int64
    anchors: Tensor  # [n] int64
    boxes: Tensor  # [n, 4] xyxy, pixels: the person's
    scores: Tensor  # [n] in (0, 1]: how well the anchor does it, the target of its class score


def dual_losses(main: DetectionLosses, auxiliary: DetectionLosses | None) -> DetectionLosses:
    """Each loss of the main branch plus a quarter of the auxiliary one's, where there is one."""
    if auxiliary is None:
        return main
    return DetectionLosses(*(a + AUXILIARY_GAIN * b for a, b in zip(main, auxiliary, strict=True)))


def detection_losses(
    detect: Detect,
    maps: Sequence[Tensor],
    boxes: Sequence[Tensor],
    ignored: Sequence[Tensor] | None = None,
) -> DetectionLosses:
    """Losses of one batch for a person-only head.

    maps: the head's raw training outputs. boxes: one [people, 4] xyxy float tensor an image, in
    input pixels; empty where there is nobody. ignored: the same of regions, none by default; an
    anchor whose centre is in one and that stands for nobody has no loss. Raises ValueError for a
    head of several classes, or if there are not as many tensors as images.
    """
    if detect.classes != 1:
        raise ValueError(f"the head has {detect.classes} classes; train one with 1, person")
    ignored = [own[:0] for own in boxes] if ignored is None else ignored
    for tensors in (boxes, ignored):
        if len(tensors) != len(maps[0]):
            raise ValueError(
                f"{len(tensors)} tensors of boxes for {len(maps[0])} images; give one each"
            )
    centres, strides = anchor_points(maps, detect.strides)  # [A, 2] cells, [A]
    flat = torch.cat([m.flatten(2) for m in maps], dim=2).float()
    distribution, logits = flat.split((4 * detect.reg_max, 1), dim=1)
    logits = logits[:, 0]  # [B, A]

    with torch.no_grad():
        sides = detect.distances(distribution).transpose(1, 2)  # [B, A, 4] cells
        predicted = boxes_at(centres, sides) * strides[:, None]
        found = assign(logits.sigmoid(), predicted, centres * strides[:, None], boxes)
        judged = (~anchors_within(centres * strides[:, None], ignored)).float()
        judged[found.images, found.anchors] = 1
    target_scores = torch.zeros_like(logits)
    target_scores[found.images, found.anchors] = found.scores
    normaliser = found.scores.sum().clamp(min=1)
    classes = F.binary_cross_entropy_with_logits(
        logits, target_scores, weight=judged, reduction="sum"
    )

    # Only the anchors found are decoded again with gradients: a few hundred of many thousands.
    cells = centres[found.anchors]
    truth = found.boxes / strides[found.anchors, None]  # cells
    bins = distribution[found.images, :, found.anchors].unflatten(1, (4, detect.reg_max))
    sides = (bins.softmax(dim=2) * detect.dfl_positions).sum(dim=2)
    box = ((1 - ciou(boxes_at(cells, sides), truth)) * found.scores).sum()
    true_sides = torch.cat((cells - truth[:, :2], truth[:, 2:] - cells), dim=1)
    dfl = (distribution_focal_loss(bins, true_sides) * found.scores).sum()
    return DetectionLosses(box / normaliser, classes / normaliser, dfl / normaliser)


@torch.no_grad()
def assign(
    scores: Tensor, predicted: Tensor, centres: Tensor, boxes: Sequence[Tensor]
) -> Assignment:
    """Give each true box its best anchors inside it; an anchor goes to the box it overlaps most.

    scores: [B, A] in [0, 1]; predicted: [B, A, 4] xyxy, pixels; centres: [A, 2] pixels; boxes: one
    [people, 4] xyxy tensor an image, pixels.
    """
    batch, anchors = scores.shape
    truth = torch.cat(list(boxes))  # [G, 4], the people of all images
    people = torch.tensor([len(image) for image in boxes], device=truth.device)
    image = torch.arange(batch, device=truth.device).repeat_interleave(people)  # [G]

    # Most anchors lie in no box: only those inside are compared.
    inside = _inside(centres, truth)
    person, anchor = inside.nonzero(as_tuple=True)
    place = (image[person], anchor)
    pair_overlap = ciou(truth[person], predicted[place]).clamp(min=0)
    overlap, metric = scores.new_zeros(2, *inside.shape)  # [G, A] each
    overlap[inside] = pair_overlap
    metric[inside] = scores[place] ** SCORE_POWER * pair_overlap**IOU_POWER

    best, candidates = metric.topk(min(CANDIDATES, anchors), dim=1)  # [G, 10] each
    overlap = overlap.gather(1, candidates) * (best > 0)
    flat = image[:, None] * anchors + candidates  # index of an anchor in the whole batch
    highest = scores.new_zeros(batch * anchors)
    highest.scatter_reduce_(0, flat.flatten(), overlap.flatten(), "amax")
    kept = (best > 0) & (overlap == highest[flat])

    # The best anchor of each box gets its overlap as target, the others in proportion.
    best, overlap = best * kept, overlap * kept
    ratio = overlap.amax(dim=1, keepdim=True) / best.amax(dim=1, keepdim=True).clamp(min=1e-9)
    person, column = kept.nonzero(as_tuple=True)
    return Assignment(
        image[person],
        candidates[person, column],
        truth[person],
        (best * ratio)[person, column],
    )


def anchors_within(centres: Tensor, regions: Sequence[Tensor]) -> Tensor:
    """Whether each anchor lies in a region of its image: [B, A] of bool.

    centres: [A, 2] pixels; regions: one [n, 4] xyxy tensor an image, pixels. A place whose label is
    unknown has no loss, as in OpenPose (Cao et al. 2017, arXiv:1611.08050); by the centre and not
    by the box found there, which in the beginning is anywhere.
    """
    return torch.stack([_inside(centres, own).any(dim=0) for own in regions])


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


def _inside(centres: Tensor, boxes: Tensor) -> Tensor:
    """Centres [A, 2] in boxes [n, 4] xyxy: [n, A] of bool."""
    return ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)


def boxes_at(centres: Tensor, sides: Tensor) -> Tensor:
    """Centres [..., 2] and left, top, right, bottom [..., 4] to xyxy [..., 4]."""
    return torch.cat((centres - sides[..., :2], centres + sides[..., 2:]), dim=-1)
