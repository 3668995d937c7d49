"""How far a guess at a person is from the truth: the terms of the loss and of a match's cost.

Each compares tensors of one shape, or of shapes that broadcast, and keeps the leading axes.
Positions and areas are shares of the square. Weights as published for UniPHD (bo-miao/RefHuman).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.systems.referring.evaluation.oks import SIGMAS

declare_missing_ops()

from torchvision.ops import (  # noqa: E402  (after declare_missing_ops)
    box_convert,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

PERSON = 0  # column of the logits: the person meant
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # Lin et al. 2017 (arXiv:1708.02002)
SMALLEST_AREA = 1e-6  # of a person, less than a pixel of a square of 960


@dataclass(frozen=True)
class LossWeights:
    """Of the terms. A match's cost has the first five alone."""

    person: float = 2.0  # focal loss of the logit
    box: float = 5.0
    giou: float = 2.0
    keypoints: float = 10.0
    oks: float = 4.0
    visibility: float = 4.0
    mask_focal: float = 2.0
    mask_dice: float = 5.0


def focal(logits: Tensor, true: Tensor) -> Tensor:
    """Focal loss of each logit; true: 0 or 1 of the same shape."""
    return sigmoid_focal_loss(logits, true, FOCAL_ALPHA, FOCAL_GAMMA)


def box_distance(found_cxcywh: Tensor, true_cxcywh: Tensor) -> Tensor:
    """[..., 4] to [...]: the sum of the absolute differences."""
    return (found_cxcywh - true_cxcywh).abs().sum(dim=-1)


def giou_loss(found_cxcywh: Tensor, true_cxcywh: Tensor) -> Tensor:
    """[..., 4] to [...]: 1 - generalized IoU (arXiv:1902.09630); in [0, 2], finite without area."""
    pair = torch.broadcast_tensors(found_cxcywh, true_cxcywh)
    return generalized_box_iou_loss(*(box_convert(boxes, "cxcywh", "xyxy") for boxes in pair))


def keypoint_distance(found: Tensor, true: Tensor, visible: Tensor) -> Tensor:
    """[..., 17, 2] to [...]: |dx| + |dy|, summed over the keypoints that are visible [..., 17]."""
    return ((found - true).abs().sum(dim=-1) * visible).sum(dim=-1)


def oks_loss(found: Tensor, true: Tensor, visible: Tensor, areas: Tensor) -> Tensor:
    """[..., 17, 2] to [...]: 1 - OKS, 0 where no keypoint is visible.

    visible: [..., 17] of 0 and 1; areas: [...]. The similarity of
    peopleseg.systems.referring.evaluation.oks, but that areas are at least SMALLEST_AREA.
    """
    squares = (found - true).square().sum(dim=-1)
    spread = 2 * (2 * areas.new_tensor(SIGMAS)).square() * areas.clamp(min=SMALLEST_AREA)[..., None]
    unlike = (1 - (-squares / spread).exp()) * visible
    return unlike.sum(dim=-1) / visible.sum(dim=-1).clamp(min=1)
