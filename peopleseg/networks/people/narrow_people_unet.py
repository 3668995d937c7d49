"""A people UNet for CPUs: a small ImageNet encoder and a narrow decoder.

The decoder is a UNet's (Ronneberger et al. 2015, arXiv:1505.04597) that ends at half the image's
size.
"""

from collections.abc import Sequence

import torch
from timm.layers.conv_bn_act import ConvNormAct
from torch import Tensor, nn

from peopleseg.networks.resizing import doubled
from peopleseg.networks.small_encoders import encoder_stages, small_encoder

WIDTHS = (128, 96, 64, 32, 16)  # of the decoder at strides 32, 16, 8, 4 and 2


class NarrowPeopleUNet(nn.Module):
    """Normalised RGB [B, 3, H, W] to person logits [B, 1, H, W]; H and W multiples of 32."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.encoder = small_encoder(variant)
        *skips, deepest = self.encoder.feature_info.channels()  # at strides 2, 4, 8, 16 and 32
        self.context = ConvNormAct(deepest, WIDTHS[0], 1, act_layer=nn.ReLU)
        self.decoder = nn.ModuleList(
            _two_convs(below + skip, width)
            for below, skip, width in zip(WIDTHS[:-1], reversed(skips), WIDTHS[1:], strict=True)
        )
        self.classifier = nn.Conv2d(WIDTHS[-1], 1, 1)

    @property
    def encoder_stages(self) -> Sequence[nn.Module]:
        """Shallow to deep."""
        return encoder_stages(self.encoder)

    def forward(self, images: Tensor) -> Tensor:
        *skips, deepest = self.encoder(images)
        x = self.context(deepest)
        for skip, decode in zip(reversed(skips), self.decoder, strict=True):
            x = decode(torch.cat((doubled(x), skip), dim=1))
        return doubled(self.classifier(x))


def _two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(in_channels, out_channels, 3, act_layer=nn.ReLU),
        ConvNormAct(out_channels, out_channels, 3, act_layer=nn.ReLU),
    )
