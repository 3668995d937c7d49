"""Cross-entropy whose pixels count unequally, and class weights that follow the batches.

Balancing by inverse frequency, its limits and its moving average: the loss of
PINTO0309/human-instance-segmentation (MIT).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.samples import IGNORED
from training.data.statistics import read_class_weights

LOWEST, HIGHEST = 0.5, 3.0  # of a class weight
KEPT = 0.9  # of the old weights, each batch


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the pixels' cross-entropy, a scalar; 0 where no pixel has any weight.

    logits: [N, C, H, W]; labels: [N, H, W] int64 below C, or IGNORED, which does not count;
    weights: [N, H, W], not negative.
    """
    entropy = F.cross_entropy(logits.float(), labels, reduction="none", ignore_index=IGNORED)
    weights = weights * (labels != IGNORED)
    return (entropy * weights).sum() / weights.sum().clamp(min=1e-6)


def pixel_weights(class_weights: Tensor, labels: Tensor) -> Tensor:
    """The weight of each pixel's class, for `weighted_cross_entropy`; of the shape of labels.

    class_weights: [C]; labels: int64 below C, or IGNORED, which gets the weight of class 0.
    """
    return class_weights[labels * (labels != IGNORED)]


def roi_class_weights(weights: Sequence[float] | Path) -> Tensor:
    """[3] float32, of background, target and non-target; ValueError if there are not three.

    A path is that of a file of `peopleseg data-stats --json`, whose separation-aware weights are
    taken; DataError if it is none.
    """
    if isinstance(weights, Path):
        weights = read_class_weights(weights)
    if len(weights) != 3:
        raise ValueError(
            f"class weights {list(weights)} are {len(weights)} numbers; give three, of background, "
            "target and non-target"
        )
    return torch.tensor(list(weights), dtype=torch.float32)


class BalancedWeights(nn.Module):
    """Class weights inverse to the classes' pixels, as a moving average over training batches.

    The average is a buffer: it is in the checkpoint, and under DDP each step starts from that of
    rank 0. It begins at 1. In evaluation mode it stays as it is.
    """

    weights: Tensor

    def __init__(self, gains: Sequence[float]) -> None:
        """gains: one factor a class, on top of the balance."""
        super().__init__()
        self.gains = tuple(gains)
        self.register_buffer("weights", torch.ones(len(self.gains)))

    @torch.no_grad()
    def forward(self, labels: Tensor) -> Tensor:
        """labels: integers of any shape, IGNORED where they do not count. [C] in [0.5, 3]."""
        labels = labels[labels != IGNORED]
        if self.training and labels.numel():
            counts = torch.stack([(labels == label).sum() for label in range(len(self.gains))])
            balance = labels.numel() / (len(self.gains) * counts)  # infinite for an absent class
            balance = balance * balance.new_tensor(self.gains)
            self.weights.lerp_(balance.clamp(LOWEST, HIGHEST), 1 - KEPT)
        return self.weights.clone()  # the next batch changes the buffer in place
