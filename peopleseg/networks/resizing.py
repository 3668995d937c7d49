"""Bilinear resizing of maps, corners between cells."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

_FACTORS = (2, 4, 8)


def doubled(x: Tensor) -> Tensor:
    """[N, C, h, w] to [N, C, 2h, 2w]."""
    return enlarged(x, 2)


def enlarged(x: Tensor, factor: int) -> Tensor:
    """[N, C, h, w] to [N, C, factor * h, factor * w]."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def resized(x: Tensor, size_hw: Sequence[int]) -> Tensor:
    """[N, C, any, any] to [N, C, *size_hw]; as it is where it has that size."""
    if x.shape[2:] == size_hw:
        return x
    for factor in _FACTORS:  # a graph with a constant scale stays in ONNX Runtime's blocked layout
        if tuple(size_hw) == (factor * x.shape[2], factor * x.shape[3]):
            return enlarged(x, factor)
    return F.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)
