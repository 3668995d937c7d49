"""EfficientFormerV2 for squares of any size that is a multiple of 32 pixels.

timm's attention knows a bias for each distance of two cells of one fixed map. Here the table of
these biases is resized to the map at hand, as is usual for relative positions, so that its
parameters stay those for 224 pixels, and a square of 224 is answered as timm answers it.
"""

from typing import Any

import torch
from timm.models.efficientformer_v2 import Attention2d, Attention2dDownsample
from torch import Tensor, nn
from torch.nn import functional as F


def take_any_size(network: nn.Module) -> None:
    """Give the attention layers of timm's network their classes here, in place."""
    for module in network.modules():
        if type(module) in _ANY_SIZE:
            module.trained_hw = module.resolution
            module.__class__ = _ANY_SIZE[type(module)]


class _Attention(Attention2d):  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        stride = 1 if self.stride_conv is None else 2
        self.resolution = (-(-int(x.shape[2]) // stride), -(-int(x.shape[3]) // stride))
        self.N = self.resolution[0] * self.resolution[1]
        return super().forward(x)  # type: ignore[no-any-return]

    def get_attention_biases(self, device: torch.device) -> Tensor:
        return _biases(self, device)


class _AttentionDownsample(Attention2dDownsample):  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        self.resolution = (int(x.shape[2]), int(x.shape[3]))
        self.resolution2 = (-(-self.resolution[0] // 2), -(-self.resolution[1] // 2))
        self.N = self.resolution[0] * self.resolution[1]
        self.N2 = self.resolution2[0] * self.resolution2[1]
        return super().forward(x)  # type: ignore[no-any-return]

    def get_attention_biases(self, device: torch.device) -> Tensor:
        return _biases(self, device)


_ANY_SIZE: dict[type, type] = {
    Attention2d: _Attention,
    Attention2dDownsample: _AttentionDownsample,
}


def _biases(attention: Any, device: torch.device) -> Tensor:
    """[heads, queries, keys] for its present resolution."""
    table = attention.attention_biases
    if attention.resolution != attention.trained_hw:
        grid = table.unflatten(1, attention.trained_hw)[None]
        resized = F.interpolate(grid, attention.resolution, mode="bilinear", align_corners=True)
        table = resized[0].flatten(1)
    return table[:, attention._compute_attention_bias_idxs(device)]  # type: ignore[no-any-return]
