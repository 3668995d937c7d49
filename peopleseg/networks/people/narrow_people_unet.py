"""A people UNet for CPUs: a small ImageNet encoder and a narrow decoder.

The encoders are timm's EfficientNet-lite (Tan and Le 2019, arXiv:1905.11946, without squeeze and
excitation) and MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381); the decoder is a UNet's
(Ronneberger et al. 2015, arXiv:1505.04597) that ends at half the image's size.
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.conv_bn_act import ConvNormAct
from torch import Tensor, nn

from peopleseg.networks.resizing import doubled

ENCODERS = {  # variant to timm's name
    "lite0": "tf_efficientnet_lite0",
    "lite1": "tf_efficientnet_lite1",
    "mobilenetv2": "mobilenetv2_100",
}
WIDTHS = (128, 96, 64, 32, 16)  # of the decoder at strides 32, 16, 8, 4 and 2


class NarrowPeopleUNet(nn.Module):
    """Normalised RGB [B, 3, H, W] to person logits [B, 1, H, W]; H and W multiples of 32."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        encoder: Any = timm.create_model(ENCODERS[variant], features_only=True, pretrained=False)
        _fix_padding(encoder)
        self.encoder = encoder
        *skips, deepest = encoder.feature_info.channels()  # at strides 2, 4, 8, 16 and 32
        self.context = ConvNormAct(deepest, WIDTHS[0], 1, act_layer=nn.ReLU)
        self.decoder = nn.ModuleList(
            _two_convs(below + skip, width)
            for below, skip, width in zip(WIDTHS[:-1], reversed(skips), WIDTHS[1:], strict=True)
        )
        self.classifier = nn.Conv2d(WIDTHS[-1], 1, 1)

    @property
    def encoder_stages(self) -> Sequence[nn.Module]:
        """Shallow to deep."""
        encoder: Any = self.encoder
        return (nn.ModuleList([encoder.conv_stem, encoder.bn1]), *encoder.blocks)

    def forward(self, images: Tensor) -> Tensor:
        *skips, deepest = self.encoder(images)
        x = self.context(deepest)
        for skip, decode in zip(reversed(skips), self.decoder, strict=True):
            x = decode(torch.cat((doubled(x), skip), dim=1))
        return doubled(self.classifier(x))


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


def _two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(in_channels, out_channels, 3, act_layer=nn.ReLU),
        ConvNormAct(out_channels, out_channels, 3, act_layer=nn.ReLU),
    )
