"""Soft Dice loss (V-Net, arXiv:1606.04797)."""

from torch import Tensor

ROI_SMOOTH = 1e-6  # pixels: of a roi there is always a target, so next to nothing


def dice_loss(probability: Tensor, target: Tensor, smooth: float = ROI_SMOOTH) -> Tensor:
    """1 - (2 overlap + smooth) / (sum of both + smooth) of each sample, then the mean.

    probability, target: [N, ...] of the same shape, in [0, 1]. A scalar in [0, 1]; 0 for N = 0.
    `smooth` is about so many pixels that an empty sample may have by mistake at little cost.
    """
    probability, target = probability.flatten(1).float(), target.flatten(1).float()
    overlap = (probability * target).sum(dim=1)
    total = probability.sum(dim=1) + target.sum(dim=1)
    dice = 1 - (2 * overlap + smooth) / (total + smooth)
    return dice.sum() / max(len(dice), 1)
