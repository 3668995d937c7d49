"""The people UNet's loss: which pixels are people, where the label says so at all.

Cross-entropy plus Dice, as in ternaus/people_segmentation (MIT), or plus the Lovasz loss, in which
every image has equal weight.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from training.data.samples import IGNORED, PERSON
from training.losses.dice import dice_loss
from training.losses.lovasz import lovasz_loss

Overlap = Literal["dice", "lovasz"]

DICE_SMOOTH = 100.0  # pixels: an image without people may have about so many by mistake


def foreground_loss(
    logits: Tensor, labels: Tensor, positive_weight: float = 1.0, overlap: Overlap = "dice"
) -> Tensor:
    """Cross-entropy plus a loss of the overlap, a scalar; see `known_cross_entropy`."""
    entropy = known_cross_entropy(logits, labels, positive_weight)
    if overlap == "lovasz":
        return entropy + known_lovasz(logits, labels)
    return entropy + known_dice(logits, labels, DICE_SMOOTH)


def known_cross_entropy(logits: Tensor, labels: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Mean binary cross-entropy of the pixels that are not IGNORED; 0 if all are.

    logits: [B, S, S] of person; labels: [B, S, S] of 0, PERSON and IGNORED, any integer type.
    positive_weight: of a person's pixel against one of the background.
    """
    known, person = (labels != IGNORED).float(), (labels == PERSON).float()
    weight = known * (1 + (positive_weight - 1) * person)
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, person, weight=weight, reduction="sum")
    return entropy / known.sum().clamp(min=1)


def known_dice(logits: Tensor, labels: Tensor, smooth: float) -> Tensor:
    """Dice loss of the pixels that are not IGNORED; see `known_cross_entropy`."""
    probability = logits.float().sigmoid() * (labels != IGNORED)
    return dice_loss(probability, labels == PERSON, smooth)


def known_lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """Lovasz loss of the pixels that are not IGNORED; see `known_cross_entropy`."""
    return lovasz_loss(logits.float().sigmoid(), labels == PERSON, labels != IGNORED)
