"""Bilinear resizing of maps, corners between cells."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def doubled(x: Tensor) -> Tensor:
    """[N, C, h, w] to [N, C, 2h, 2w]."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def resized(x: Tensor, size_hw: Sequence[int]) -> Tensor:
    """[N, C, any, any] to [N, C, *size_hw]; as it is where it has that size."""
    if x.shape[2:] == size_hw:
        return x
    if tuple(size_hw) == (2 * x.shape[2], 2 * x.shape[3]):
        return doubled(x)  # a graph with a constant scale stays in ONNX Runtime's blocked layout
    return F.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)
