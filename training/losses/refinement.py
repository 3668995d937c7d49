"""What sharpens the masks' edges: boundary weights, the contour and the distance branch.

Definitions of PINTO0309/human-instance-segmentation (MIT); the contour branch gives logits here,
where the published code puts a sigmoid before a loss on logits. Pixels whose label is IGNORED cost
nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.samples import IGNORED, TARGET

BOUNDARY_WEIGHT = 2.0  # of a pixel beside another class, against 1 elsewhere
HIGHEST_TERM = 10.0  # above it a term has no gradient: early mistakes must not rule the step
REFERENCE_PIXELS = 64 * 48  # the mask size for which the contour's width and weight were chosen
CONTOUR_WIDTH = 1.5  # pixels, at the reference size
LOWEST_CONTOUR_WEIGHT, HIGHEST_CONTOUR_WEIGHT = 0.001, 0.5
DISTANCE_STEPS = 5  # pixels that the distance map reaches beyond the mask
DISTANCE_DECAY = 0.5


def known_mean(losses: Tensor, labels: Tensor) -> Tensor:
    """Mean over the pixels whose label is not IGNORED, a scalar; 0 if all are.

    losses: finite, of the shape of labels.
    """
    known = labels != IGNORED
    return (losses * known).sum() / known.sum().clamp(min=1)


def boundary_loss(mask_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy whose boundary pixels count double, at most 10; a scalar.

    mask_logits: [N, 3, H, W]; labels: [N, H, W] int64.
    """
    entropy = F.cross_entropy(mask_logits.float(), labels, reduction="none", ignore_index=IGNORED)
    return known_mean(entropy * boundary_weight_map(labels), labels).clamp(max=HIGHEST_TERM)


def contour_loss(contour_logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy to `contour_target`, at most 10; a scalar.

    contour_logits: [N, 1, H, W]; labels: [N, H, W].
    """
    logits, target = contour_logits[:, 0].float(), contour_target(labels)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return known_mean(losses, labels).clamp(max=HIGHEST_TERM)


def distance_loss(distance: Tensor, labels: Tensor) -> Tensor:
    """Mean absolute difference from `distance_target`, at most 10; a scalar.

    distance: [N, 1, H, W]; labels: [N, H, W].
    """
    difference = (distance[:, 0].float() - distance_target(labels)).abs()
    return known_mean(difference, labels).clamp(max=HIGHEST_TERM)


def contour_weight(weight: float, height: int, width: int) -> float:
    """A weight for masks of 64 x 48 made one for masks of height x width; 0 stays 0.

    Thinner than the mask, the contour's share of the pixels falls with the resolution.
    """
    if weight == 0:
        return 0.0
    scaled = weight * math.sqrt(REFERENCE_PIXELS / (height * width))
    return min(max(scaled, LOWEST_CONTOUR_WEIGHT), HIGHEST_CONTOUR_WEIGHT)


@torch.no_grad()
def on_boundary(labels: Tensor) -> Tensor:
    """Whether the 3 x 3 pixels around each have several labels; [N, H, W] to the same, bool.

    That is where the dilation of any class differs from its erosion. IGNORED is no label.
    """
    values = labels[:, None].float()
    known = values.masked_fill(values == IGNORED, -1)  # as it stands, IGNORED is above every label
    highest, lowest = F.max_pool2d(known, 3, 1, 1), -F.max_pool2d(-values, 3, 1, 1)
    return (highest > lowest)[:, 0]


def boundary_weight_map(labels: Tensor) -> Tensor:
    """2 on the boundaries between classes, 1 elsewhere; labels [N, H, W] to float32 of the same."""
    return 1 + (BOUNDARY_WEIGHT - 1) * on_boundary(labels).float()


@torch.no_grad()
def contour_target(labels: Tensor) -> Tensor:
    """1 near the target's outline, 0 elsewhere; labels [N, H, W] to float32 of the same.

    A pixel is on the outline if its right or its lower neighbour differs. Dilated by a square of
    2w - 1 pixels, w = 1.5 at 64 x 48 and in proportion to the side, rounded down, at least 1.
    """
    target = (labels == TARGET).float()
    right, down = target.diff(dim=2).abs(), target.diff(dim=1).abs()
    outline = torch.maximum(F.pad(right, (0, 1)), F.pad(down, (0, 0, 0, 1)))
    side = math.sqrt(labels.shape[1] * labels.shape[2] / REFERENCE_PIXELS)
    width = max(1, int(CONTOUR_WIDTH * side))
    return F.max_pool2d(outline[:, None], 2 * width - 1, 1, width - 1)[:, 0]


@torch.no_grad()
def distance_target(labels: Tensor) -> Tensor:
    """1 on the target, falling to 0 beyond 5 pixels; labels [N, H, W] to float32 of the same.

    Five steps of d += (1 - d) m / 2, where m is the maximum of the 3 x 3 pixels around each.
    """
    distance = (labels == TARGET).float()[:, None]
    for _ in range(DISTANCE_STEPS):
        reached = F.max_pool2d(distance, 3, 1, 1)
        distance = distance + (1 - distance) * reached * DISTANCE_DECAY
    return distance[:, 0]
