"""The layers of YOLOv9 t, s, m, c and e as deployed (GELAN), and what each reads.

Layer lists and widths: Wang et al. 2024 (arXiv:2402.13616) and its repository, WongKinYiu/yolov9.
Layers are numbered as in the published deploy models (`gelan-<variant>`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from peopleseg.networks.people.yolov9_blocks import (
    ELAN,
    SPPELAN,
    AConv,
    ADown,
    CBFuse,
    CBLinear,
    Conv,
)


class Layer(NamedTuple):
    """One layer and the earlier layers it reads; -1 is the image."""

    sources: int | Sequence[int]
    module: nn.Module


class Concat(nn.Module):
    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(inputs), dim=1)


class Branch(NamedTuple):
    """Layers that end in three levels to detect on, at strides 8, 16 and 32."""

    layers: list[Layer]
    detect_sources: tuple[int, int, int]
    detect_channels: tuple[int, int, int]


class DeployLayers(NamedTuple):
    """All layers of a deploy model but its detection head."""

    branch: Branch
    feature_layer: int  # the FPN concat at stride 8
    feature_channels: int


@dataclass(frozen=True)
class GelanWidths:
    """Channels of a plain GELAN (t, s, m, c); `(out, split, stage)` for every ELAN block."""

    stem: tuple[int, int]
    first: tuple[int, int, int]  # layer 2
    first_is_plain: bool  # layer 2 without CSP stacks (ELAN1)
    backbone: tuple[tuple[int, int, int], ...]  # layers 4, 6, 8
    downs: tuple[int, int, int]  # layers 3, 5, 7
    pyramid: tuple[int, int]  # layer 9: out, hidden
    top_down: tuple[tuple[int, int, int], ...]  # layers 12, 15
    bottom_up_downs: tuple[int, int]  # layers 16, 19
    bottom_up: tuple[tuple[int, int, int], ...]  # layers 18, 21
    csp_depth: int
    down: type[AConv] | type[ADown]


GELAN_WIDTHS = {
    "t": GelanWidths(
        stem=(16, 32),
        first=(32, 32, 16),
        first_is_plain=True,
        backbone=((64, 64, 32), (96, 96, 48), (128, 128, 64)),
        downs=(64, 96, 128),
        pyramid=(128, 64),
        top_down=((96, 96, 48), (64, 64, 32)),
        bottom_up_downs=(48, 64),
        bottom_up=((96, 96, 48), (128, 128, 64)),
        csp_depth=3,
        down=AConv,
    ),
    "s": GelanWidths(
        stem=(32, 64),
        first=(64, 64, 32),
        first_is_plain=True,
        backbone=((128, 128, 64), (192, 192, 96), (256, 256, 128)),
        downs=(128, 192, 256),
        pyramid=(256, 128),
        top_down=((192, 192, 96), (128, 128, 64)),
        bottom_up_downs=(96, 128),
        bottom_up=((192, 192, 96), (256, 256, 128)),
        csp_depth=3,
        down=AConv,
    ),
    "m": GelanWidths(
        stem=(32, 64),
        first=(128, 128, 64),
        first_is_plain=False,
        backbone=((240, 240, 120), (360, 360, 180), (480, 480, 240)),
        downs=(240, 360, 480),
        pyramid=(480, 240),
        top_down=((360, 360, 180), (240, 240, 120)),
        bottom_up_downs=(180, 240),
        bottom_up=((360, 360, 180), (480, 480, 240)),
        csp_depth=1,
        down=AConv,
    ),
    "c": GelanWidths(
        stem=(64, 128),
        first=(256, 128, 64),
        first_is_plain=False,
        backbone=((512, 256, 128), (512, 512, 256), (512, 512, 256)),
        downs=(256, 512, 512),
        pyramid=(512, 256),
        top_down=((512, 512, 256), (256, 256, 128)),
        bottom_up_downs=(256, 512),
        bottom_up=((512, 512, 256), (512, 512, 256)),
        csp_depth=1,
        down=ADown,
    ),
}

VARIANTS = (*GELAN_WIDTHS, "e")


def deploy_layers(variant: str) -> DeployLayers:
    """The layers of one of VARIANTS."""
    return _gelan_e() if variant == "e" else _gelan(GELAN_WIDTHS[variant])


def _gelan(widths: GelanWidths) -> DeployLayers:
    """Layers 0-21 of yolov9-t/s/m/c; the features are layer 14."""
    w, depth = widths, widths.csp_depth
    p3, p4, p5 = (block[0] for block in w.backbone)
    n4, n3 = (block[0] for block in w.top_down)
    out4, out5 = (block[0] for block in w.bottom_up)
    down4, down5 = w.bottom_up_downs
    layers = [
        Layer(-1, Conv(3, w.stem[0], 3, 2)),
        Layer(0, Conv(w.stem[0], w.stem[1], 3, 2)),
        Layer(1, ELAN(w.stem[1], *w.first, None if w.first_is_plain else depth)),
        Layer(2, w.down(w.first[0], w.downs[0])),
        Layer(3, ELAN(w.downs[0], *w.backbone[0], depth)),
        Layer(4, w.down(p3, w.downs[1])),
        Layer(5, ELAN(w.downs[1], *w.backbone[1], depth)),
        Layer(6, w.down(p4, w.downs[2])),
        Layer(7, ELAN(w.downs[2], *w.backbone[2], depth)),
        Layer(8, SPPELAN(p5, *w.pyramid)),
        Layer(9, nn.Upsample(scale_factor=2)),
        Layer((10, 6), Concat()),
        Layer(11, ELAN(w.pyramid[0] + p4, *w.top_down[0], depth)),
        Layer(12, nn.Upsample(scale_factor=2)),
        Layer((13, 4), Concat()),
        Layer(14, ELAN(n4 + p3, *w.top_down[1], depth)),
        Layer(15, w.down(n3, down4)),
        Layer((16, 12), Concat()),
        Layer(17, ELAN(down4 + n4, *w.bottom_up[0], depth)),
        Layer(18, w.down(out4, down5)),
        Layer((19, 9), Concat()),
        Layer(20, ELAN(down5 + w.pyramid[0], *w.bottom_up[1], depth)),
    ]
    branch = Branch(layers, (15, 18, 21), (n3, out4, out5))
    return DeployLayers(branch, feature_layer=14, feature_channels=n4 + p3)


def _gelan_e() -> DeployLayers:
    """Layers 0-41 of yolov9-e, two backbones joined by CBFuse; the features are layer 34."""
    stage: dict[str, Callable[[int], ELAN]] = {
        "p2": lambda channels: ELAN(channels, 256, 128, 64, 2),
        "p3": lambda channels: ELAN(channels, 512, 256, 128, 2),
        "p45": lambda channels: ELAN(channels, 1024, 512, 256, 2),
    }
    layers = [
        Layer(-1, nn.Identity()),
        Layer(0, Conv(3, 64, 3, 2)),
        Layer(1, Conv(64, 128, 3, 2)),
        Layer(2, stage["p2"](128)),
        Layer(3, ADown(256, 256)),
        Layer(4, stage["p3"](256)),
        Layer(5, ADown(512, 512)),
        Layer(6, stage["p45"](512)),
        Layer(7, ADown(1024, 1024)),
        Layer(8, stage["p45"](1024)),
        Layer(1, CBLinear(64, (64,))),
        Layer(3, CBLinear(256, (64, 128))),
        Layer(5, CBLinear(512, (64, 128, 256))),
        Layer(7, CBLinear(1024, (64, 128, 256, 512))),
        Layer(9, CBLinear(1024, (64, 128, 256, 512, 1024))),
        Layer(0, Conv(3, 64, 3, 2)),
        Layer((10, 11, 12, 13, 14, 15), CBFuse(0)),
        Layer(16, Conv(64, 128, 3, 2)),
        Layer((11, 12, 13, 14, 17), CBFuse(1)),
        Layer(18, stage["p2"](128)),
        Layer(19, ADown(256, 256)),
        Layer((12, 13, 14, 20), CBFuse(2)),
        Layer(21, stage["p3"](256)),
        Layer(22, ADown(512, 512)),
        Layer((13, 14, 23), CBFuse(3)),
        Layer(24, stage["p45"](512)),
        Layer(25, ADown(1024, 1024)),
        Layer((14, 26), CBFuse(4)),
        Layer(27, stage["p45"](1024)),
        Layer(28, SPPELAN(1024, 512, 256)),
        Layer(29, nn.Upsample(scale_factor=2)),
        Layer((30, 25), Concat()),
        Layer(31, ELAN(1536, 512, 512, 256, 2)),
        Layer(32, nn.Upsample(scale_factor=2)),
        Layer((33, 22), Concat()),
        Layer(34, ELAN(1024, 256, 256, 128, 2)),
        Layer(35, ADown(256, 256)),
        Layer((36, 32), Concat()),
        Layer(37, ELAN(768, 512, 512, 256, 2)),
        Layer(38, ADown(512, 512)),
        Layer((39, 29), Concat()),
        Layer(40, ELAN(1024, 512, 1024, 512, 2)),
    ]
    branch = Branch(layers, (35, 38, 41), (256, 512, 512))
    return DeployLayers(branch, feature_layer=34, feature_channels=1024)
