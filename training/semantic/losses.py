"""Losses of class maps: cross-entropy, focal, Dice, and the sum of the last two.

Pixels of no known class count in none of them. Weights and constants as published.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.labels.label_maps import UNKNOWN

Kind = Literal["cross_entropy", "focal", "dice", "combined"]

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # Lin et al. 2017 (arXiv:1708.02002)
DICE_SMOOTH = 1.0  # pixels


def class_map_loss(
    kind: Kind, logits: Tensor, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """A scalar, 0 where no pixel's class is known.

    logits: [B, classes, H, W]; labels: [B, H, W] of 0 to classes - 1 and UNKNOWN, any integer type.
    class_weights: [classes], of the cross-entropy and the focal loss; Dice weighs classes alike.
    """
    logits, labels = logits.float(), labels.long()
    if kind == "cross_entropy":
        return cross_entropy(logits, labels, class_weights)
    if kind == "focal":
        return focal(logits, labels, class_weights)
    if kind == "dice":
        return dice(logits, labels)
    return focal(logits, labels, class_weights) + dice(logits, labels)


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """The mean over the known pixels."""
    return _mean_of_known(_entropies(logits, labels, class_weights), labels)


def focal(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """FOCAL_ALPHA (1 - p) ^ FOCAL_GAMMA of the cross-entropy, p being the true class's probability;
    the mean over the known pixels."""
    probability = torch.exp(-_entropies(logits, labels))
    weighted = _entropies(logits, labels, class_weights)
    return _mean_of_known(FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * weighted, labels)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - (2 overlap + 1) / (sum of both + 1) of each image and class; the mean over both.

    Classes that an image does not have count, too: there the loss is what is found of them.
    """
    known = (labels != UNKNOWN)[:, None]
    probability = logits.softmax(dim=1) * known
    true = F.one_hot(labels.where(known[:, 0], 0), logits.shape[1]).movedim(3, 1) * known
    overlap = (probability * true).sum(dim=(2, 3))
    total = (probability + true).sum(dim=(2, 3))
    return (1 - (2 * overlap + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean()


def distillation(
    logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float
) -> Tensor:
    """Kullback-Leibler divergence from a teacher's classes at a temperature T, times T squared
    (Hinton et al. 2015, arXiv:1503.02531); the mean over all pixels but those outside of the image.

    logits, teacher_logits: [B, classes, H, W]; labels: [B, H, W], whose UNKNOWN is left out.
    """
    student = (logits.float() / temperature).log_softmax(dim=1)
    taught = (teacher_logits.float() / temperature).log_softmax(dim=1)
    divergence = F.kl_div(student, taught, reduction="none", log_target=True).sum(dim=1)
    return temperature**2 * _mean_of_known(divergence, labels)


def _entropies(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """[B, H, W], 0 where the class is not known."""
    # A softmax over the last axis is several times quicker on the CPU than over the second.
    pixels = logits.movedim(1, 3).flatten(0, 2)
    entropies = F.cross_entropy(
        pixels, labels.flatten(), class_weights, ignore_index=UNKNOWN, reduction="none"
    )
    return entropies.view_as(labels)


def _mean_of_known(values: Tensor, labels: Tensor) -> Tensor:
    known = labels != UNKNOWN
    return (values * known).sum() / known.sum().clamp(min=1)
