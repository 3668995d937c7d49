"""The loss of the roi head on YOLOv9 features: weighted cross-entropy plus Dice of the target.

As in PINTO0309/human-instance-segmentation (MIT).
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from training.data.samples import IGNORED, TARGET
from training.losses.class_weights import (
    pixel_weights,
    roi_class_weights,
    weighted_cross_entropy,
)
from training.losses.dice import dice_loss

# Of COCO train2017's people: ln(1 / (share + 0.001)) of the pixels of background, target and
# non-target, the last times 1.2, scaled to a sum of 3.
SEPARATION_AWARE_WEIGHTS = (0.537671, 0.750127, 1.712202)


class FeatureHeadLoss(nn.Module):
    """Cross-entropy with class weights plus Dice of the target."""

    class_weights: Tensor

    def __init__(self, class_weights: Sequence[float] | Path = SEPARATION_AWARE_WEIGHTS) -> None:
        """class_weights: see `roi_class_weights`."""
        super().__init__()
        self.register_buffer("class_weights", roi_class_weights(class_weights), persistent=False)

    def forward(self, mask_logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Terms "mask" and "dice" and their sum "loss"; scalars, 0 for N = 0.

        mask_logits: [N, 3, 56, 56]; labels: [N, 56, 56] int64 of 0, 1, 2, and of IGNORED, where
        nothing counts.
        """
        weights = pixel_weights(self.class_weights, labels)
        mask = weighted_cross_entropy(mask_logits, labels, weights)
        probability = mask_logits.float().softmax(dim=1)[:, TARGET] * (labels != IGNORED)
        dice = dice_loss(probability, labels == TARGET)
        return {"mask": mask, "dice": dice, "loss": mask + dice}
