"""Learn a detector from another's predictions at every anchor, without labels.

Scores as in quality focal loss (arXiv:2006.04388) with the teacher's score as quality; distances as
in localisation distillation (arXiv:2102.12252); maps of the neck by where they are active
(attention transfer, arXiv:1612.03928).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.people.yolov9_blocks import Detect, anchor_points
from training.losses.detection import boxes_at, ciou
from training.teachers.teacher import DensePredictions

LEAST_SCORE = 0.1  # of the teacher, from which its box is imitated


@dataclass(frozen=True)
class Imitation:
    """How much each term counts; the labels' own loss beside it is multiplied by `labels`."""

    labels: float = 0.5
    scores: float = 1.0
    boxes: float = 4.0
    bins: float = 0.75
    levels: float = 0.0  # needs the names of the teacher's tensors


class ImitationLosses(NamedTuple):
    """Scalars, without the weights."""

    scores: Tensor
    boxes: Tensor
    bins: Tensor


def imitation_losses(
    detect: Detect, maps: Sequence[Tensor], predictions: DensePredictions
) -> ImitationLosses:
    """maps: the raw training outputs of a person-only head. predictions: of the same anchors.

    Each is a sum over the anchors, divided by the sum of the teacher's scores from LEAST_SCORE on,
    or by 1 where that is less. Boxes and bins count in proportion to the teacher's score.
    """
    centres, strides = anchor_points(maps, detect.strides)  # [A, 2] cells, [A]
    flat = torch.cat([level.flatten(2) for level in maps], dim=2).float()
    distribution, logits = flat.split((4 * detect.reg_max, 1), dim=1)
    logits = logits[:, 0]  # [B, A]
    entropy = F.binary_cross_entropy_with_logits(logits, predictions.scores, reduction="none")
    difference = (logits.detach().sigmoid() - predictions.scores).abs()

    image, anchor = (predictions.scores >= LEAST_SCORE).nonzero(as_tuple=True)
    weight = predictions.scores[image, anchor]
    normaliser = weight.sum().clamp(min=1)
    own = distribution[image, :, anchor].unflatten(1, (4, detect.reg_max))  # [n, 4, reg_max]
    taught = F.pad(predictions.bins[image, anchor], (0, detect.reg_max - predictions.bins.shape[3]))
    divergence = F.kl_div(own.log_softmax(dim=2), taught, reduction="none").sum(dim=2).mean(dim=1)
    own_box, taught_box = (
        boxes_at(centres[anchor], (p * detect.dfl_positions).sum(dim=2))
        for p in (own.softmax(dim=2), taught)
    )
    return ImitationLosses(
        (entropy * difference).sum() / normaliser,
        ((1 - ciou(own_box, taught_box)) * weight).sum() / normaliser,
        (divergence * weight).sum() / normaliser,
    )


def attention_difference(own: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of where two necks are active, a scalar; 0 for no levels.

    own, taught: maps [B, C, h, w] level by level; the channels may differ, the cells not.
    """
    differences = [
        (_attention(a) - _attention(b)).pow(2).mean() for a, b in zip(own, taught, strict=True)
    ]
    return torch.stack(differences).sum() if differences else torch.zeros(())


def _attention(level: Tensor) -> Tensor:
    """[B, h w]: mean square over the channels, with unit mean over the cells' squares."""
    energy = level.float().pow(2).mean(dim=1).flatten(1)
    return energy / energy.pow(2).mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
