"""DeepLabV3+ on MobileNetV3-small: the original network and the one optimised for edge devices.

Chen et al. 2018 (arXiv:1802.02611) on Howard et al. 2019 (arXiv:1905.02244), layer by layer as
published: 6,831,509 and 2,516,853 parameters for Pascal VOC's 21 classes. The optimised one has
half the channels, one dilated branch less, depthwise separable layers in its decoder,
and a map at stride 8 beside that at stride 4.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small
from torchvision.ops import Conv2dNormActivation

from peopleseg.networks.normalise import Normalise
from peopleseg.networks.resizing import resized
from peopleseg.systems.semantic.contract import VOC_CLASSES

Variant = Literal["original", "optimised"]
VARIANTS = get_args(Variant)

# Last layers of the stages at strides 4, 8, 16 and 32 (16 where dilated), and their channels.
STAGES = (2, 4, 9, 13)
LOW_CHANNELS, MID_CHANNELS, HIGH_CHANNELS = 16, 24, 576


class _Widths(NamedTuple):
    low: int  # channels of the map at stride 4 in the decoder
    mid: int  # and at stride 8; 0: it is not read
    context: int  # of the pyramid and the decoder
    rates: tuple[int, ...]  # of the pyramid's dilated convolutions
    pyramid_dropout: float


_WIDTHS = {
    "original": _Widths(48, 0, 256, (6, 12, 18), 0.3),
    "optimised": _Widths(32, 32, 128, (6, 12), 0.1),
}
_CLASSIFIER_DROPOUT = 0.5


class Maps(NamedTuple):
    """What the backbone makes of images [B, 3, H, W]."""

    low: Tensor  # [B, 16, H / 4, W / 4]
    mid: Tensor  # [B, 24, H / 8, W / 8]
    high: Tensor  # [B, 576, H / 32, W / 32], or / 16 where dilated


class DeepLab(nn.Module):
    """RGB in [0, 1], [B, 3, H, W], to class logits [B, classes, H, W].

    H and W: any from 32 on. classes: the names, the background first. dilated: the last maps have
    stride 16 in place of 32, at the same number of parameters.
    """

    def __init__(
        self,
        variant: Variant = "optimised",
        classes: Sequence[str] = VOC_CLASSES,
        dilated: bool = False,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}; expected one of {', '.join(VARIANTS)}")
        if not 2 <= len(classes) <= 255 or len(set(classes)) < len(classes):
            raise ValueError(
                f"classes are {list(classes)}; expected 2 to 255 names, each once, the background "
                "first"
            )
        self.variant, self.classes, self.dilated = variant, tuple(classes), dilated
        widths = _WIDTHS[variant]
        self.normalise = Normalise()
        self.backbone = mobilenet_v3_small(weights=None, dilated=dilated).features
        self.low_projection = _conv(LOW_CHANNELS, widths.low, 1)
        if widths.mid:
            self.mid_projection = _conv(MID_CHANNELS, widths.mid, 1)
        self.pyramid = Pyramid(HIGH_CHANNELS, widths)
        self.decoder = _decoder(widths)
        self.classifier = nn.Sequential(
            nn.Dropout(_CLASSIFIER_DROPOUT), nn.Conv2d(widths.context, len(self.classes), 1)
        )

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build it."""
        return {"variant": self.variant, "classes": list(self.classes), "dilated": self.dilated}

    @property
    def encoder_stages(self) -> list[nn.Module]:
        """The backbone, shallow to deep."""
        firsts = (0, *STAGES[:-1])
        return [self.backbone[first:last] for first, last in zip(firsts, STAGES, strict=True)]

    def maps(self, images: Tensor) -> Maps:
        """The backbone's maps of RGB in [0, 1]."""
        low, mid, _, high = self.stage_maps(images)
        return Maps(low, mid, high)

    def stage_maps(self, images: Tensor) -> list[Tensor]:
        """The last map of each of the encoder's stages."""
        x, found = self.normalise(images), []
        for stage in self.encoder_stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        return resized(self.at_stride_4(images), images.shape[2:])

    def at_stride_4(self, images: Tensor) -> Tensor:
        """The logits before they are resized: [B, classes, H / 4, W / 4]."""
        maps = self.maps(images)
        x = self.pyramid(maps.high)
        if self.variant == "original":
            x = self.decoder(_beside(x, self.low_projection(maps.low)))
        else:
            x = self.decoder[0](_beside(x, self.mid_projection(maps.mid)))
            x = self.decoder[1](_beside(x, self.low_projection(maps.low)))
        return self.classifier(x)  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling with the image's mean (Chen et al. 2017, arXiv:1706.05587)."""

    def __init__(self, in_channels: int, widths: _Widths) -> None:
        super().__init__()
        width = widths.context
        dilated = [_conv(in_channels, width, 3, dilation=rate) for rate in widths.rates]
        self.branches = nn.ModuleList([_conv(in_channels, width, 1), *dilated])
        self.image_mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv(in_channels, width, 1))
        branches = len(self.branches) + 1
        self.project = nn.Sequential(
            _conv(branches * width, width, 1), nn.Dropout(widths.pyramid_dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        # Of one image alone a norm of 1 x 1 cells knows no variance: it takes its running one.
        self.image_mean.get_submodule("1.1").train(self.training and len(x) > 1)
        mean = self.image_mean(x).expand(-1, -1, *x.shape[2:])
        parts = [branch(x) for branch in self.branches]
        return self.project(torch.cat((*parts, mean), dim=1))  # type: ignore[no-any-return]


def _decoder(widths: _Widths) -> nn.Sequential:
    if not widths.mid:
        width = widths.context
        return nn.Sequential(_conv(width + widths.low, width, 3), _conv(width, width, 3))
    return nn.Sequential(
        _separable(widths.context + widths.mid, widths.context),
        _separable(widths.context + widths.low, widths.context),
    )


def _separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution of each channel, then a 1x1 of all."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, _conv(in_channels, out_channels, 1))


def _conv(in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1) -> nn.Module:
    return Conv2dNormActivation(in_channels, out_channels, kernel, dilation=dilation)


def _beside(deep: Tensor, shallow: Tensor) -> Tensor:
    """Both maps at the shallow one's size."""
    return torch.cat((resized(deep, shallow.shape[2:]), shallow), dim=1)
