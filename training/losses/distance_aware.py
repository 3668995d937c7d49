"""Cross-entropy whose pixels count more near boundaries and where people meet.

The distance-aware segmentation loss of PINTO0309/human-instance-segmentation (MIT), with Euclidean
distances in pixels of the mask. The transform is scipy's, on the CPU: exact and well kept.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from training.data.samples import NON_TARGET, TARGET
from training.losses.class_weights import pixel_weights, weighted_cross_entropy
from training.losses.refinement import BOUNDARY_WEIGHT, on_boundary

BOUNDARY_WIDTH = 5.0  # pixels over which a boundary's weight falls to 1
SEPARATION_DISTANCE = 50.0  # pixels; nearer than this, target and non-target must be told apart
SEPARATION_WEIGHT = 3.0


def distance_aware_cross_entropy(
    mask_logits: Tensor, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Mean of the pixels' cross-entropy weighted by `distance_weight_map`; a scalar.

    The mean is over the weights' sum, so that the term is as large as a plain cross-entropy.
    mask_logits: [N, 3, H, W]; labels: [N, H, W] int64, IGNORED where they do not count;
    class_weights: [3], on top of the map.
    """
    weights = distance_weight_map(labels)
    if class_weights is not None:
        weights = weights * pixel_weights(class_weights, labels)
    return weighted_cross_entropy(mask_logits, labels, weights)


@torch.no_grad()
def distance_weight_map(labels: Tensor) -> Tensor:
    """Weight of each pixel, [N, H, W] to float32 of the same, in [1, 6].

    2 on a boundary between classes, falling to 1 at 5 pixels from it. Times 3 for pixels of target
    and non-target that are nearer than 50 pixels to a pixel of the other; in a mask of 128 x 96
    these are most of the people's pixels as soon as two people are in it.
    """
    cells = labels.cpu().numpy()
    to_boundary = distance_to(on_boundary(labels).cpu().numpy())
    weights = 1 + (BOUNDARY_WEIGHT - 1) * (1 - to_boundary / BOUNDARY_WIDTH).clip(min=0)
    for label, other in ((TARGET, NON_TARGET), (NON_TARGET, TARGET)):
        near = distance_to(cells == other) < SEPARATION_DISTANCE
        weights[(cells == label) & near] *= SEPARATION_WEIGHT
    return torch.from_numpy(weights.astype(np.float32)).to(labels.device)


def distance_to(marked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest marked one of its sample, pixels.

    marked: (N, H, W). Infinite where nothing is marked in the sample.
    """
    distances = np.full(marked.shape, np.inf)
    for distance, sample in zip(distances, marked, strict=True):
        if sample.any():
            distance[:] = distance_transform_edt(~sample)
    return distances
