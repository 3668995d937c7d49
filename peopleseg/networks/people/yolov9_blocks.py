"""Building blocks of YOLOv9 (Wang et al. 2024, arXiv:2402.13616), in their deploy form.

Written from the block descriptions of the paper; attribute names follow the published checkpoints
(`cv1`, `m`, ...), so that their weights can be imported by name.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Conv(nn.Module):
    """Convolution without bias, BatchNorm, SiLU (or no activation)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)
        self.act: nn.Module = nn.SiLU(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class RepConv(nn.Module):
    """SiLU of a 3x3 plus a 1x1 convolution, which `fuse` turns into one biased 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, activation=False)
        self.conv2 = Conv(channels, channels, 1, activation=False)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv1(x) + self.conv2(x))

    @torch.no_grad()
    def fused(self) -> nn.Sequential:
        """The same function as one convolution; for evaluation mode only."""
        conv, pointwise = (fuse_conv_bn_eval(one.conv, one.bn) for one in (self.conv1, self.conv2))
        conv.weight += F.pad(pointwise.weight, (1, 1, 1, 1))
        conv.bias += pointwise.bias  # type: ignore[operator]
        return nn.Sequential(conv, self.act)


class RepBottleneck(nn.Module):
    """x + Conv3x3(RepConv(x)), at one width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1: nn.Module = RepConv(channels)
        self.cv2 = Conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class RepCSP(nn.Module):
    """Cross-stage partial block: half the channels pass `depth` bottlenecks, half pass by."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.cv1 = Conv(in_channels, hidden)
        self.cv2 = Conv(in_channels, hidden)
        self.cv3 = Conv(2 * hidden, out_channels)
        self.m = nn.Sequential(*(RepBottleneck(hidden) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))


class ELAN(nn.Module):
    """Efficient layer aggregation: two halves and two deeper stages, all concatenated.

    `csp_depth` None gives the plain-convolution form (ELAN1); a number gives RepNCSPELAN4.
    """

    def __init__(
        self, in_channels: int, out_channels: int, split: int, stage: int, csp_depth: int | None
    ) -> None:
        super().__init__()
        self.cv1 = Conv(in_channels, split)
        self.cv2 = self._stage(split // 2, stage, csp_depth)
        self.cv3 = self._stage(stage, stage, csp_depth)
        self.cv4 = Conv(split + 2 * stage, out_channels)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, csp_depth: int | None) -> nn.Module:
        if csp_depth is None:
            return Conv(in_channels, out_channels, 3)
        csp = RepCSP(in_channels, out_channels, csp_depth)
        return nn.Sequential(csp, Conv(out_channels, out_channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, dim=1))
        parts.append(self.cv2(parts[-1]))
        parts.append(self.cv3(parts[-1]))
        return self.cv4(torch.cat(parts, dim=1))


class AConv(nn.Module):
    """Halve the size: average pool, then a strided 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(in_channels, out_channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv1(F.avg_pool2d(x, 2, 1))


class ADown(nn.Module):
    """Halve the size: one half of the channels by convolution, the other by max pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(in_channels // 2, out_channels // 2, 3, 2)
        self.cv2 = Conv(in_channels // 2, out_channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = F.avg_pool2d(x, 2, 1).chunk(2, dim=1)
        return torch.cat((self.cv1(left), self.cv2(F.max_pool2d(right, 3, 2, 1))), dim=1)


class SPPELAN(nn.Module):
    """Spatial pyramid pooling: a 1x1 convolution and three chained 5x5 max pools, concatenated."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int) -> None:
        super().__init__()
        self.cv1 = Conv(in_channels, hidden)
        self.cv5 = Conv(4 * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.cv5(torch.cat(parts, dim=1))


class CBLinear(nn.Module):
    """A biased 1x1 convolution whose output is split into the widths of several later levels."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.conv = nn.Conv2d(in_channels, sum(widths), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.conv(x).split(self.widths, dim=1)


class CBFuse(nn.Module):
    """Sum one part of every earlier CBLinear, resized to the last input, with that input."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self.part = part

    def forward(self, inputs: Sequence[tuple[Tensor, ...] | Tensor]) -> Tensor:
        *linears, last = inputs
        assert isinstance(last, Tensor)
        size_hw = last.shape[2:]
        resized = [F.interpolate(parts[self.part], size=size_hw) for parts in linears]
        return torch.stack([*resized, last]).sum(dim=0)


class Detect(nn.Module):
    """Decoupled, anchor-free detection head (DDetect; distribution focal loss, arXiv:2006.04388).

    In training mode returns one raw map a level, [B, 4 * reg_max + classes, H, W]; otherwise
    predictions [B, 4 + classes, anchors]: cx, cy, w, h in input pixels and class scores in [0, 1].
    """

    reg_max = 16  # bins of each side's distance distribution
    strides = (8, 16, 32)
    zoom = 1.0  # pixels that predictions are in, for a pixel of what the network works on

    def __init__(
        self, classes: int, in_channels: Sequence[int], class_width: int | None = None
    ) -> None:
        """`class_width` is the least channels of the class branch, None for the published ones."""
        super().__init__()
        self.classes = classes
        first = in_channels[0]
        box_width = -(-max(first // 4, 4 * self.reg_max, 16) // 4) * 4
        self.class_width = class_branch_width(first, classes, class_width)
        self.cv2 = nn.ModuleList(
            nn.Sequential(
                Conv(channels, box_width, 3),
                Conv(box_width, box_width, 3, groups=4),
                nn.Conv2d(box_width, 4 * self.reg_max, 1, groups=4),
            )
            for channels in in_channels
        )
        self.cv3 = nn.ModuleList(
            nn.Sequential(
                Conv(channels, self.class_width, 3),
                Conv(self.class_width, self.class_width, 3),
                nn.Conv2d(self.class_width, classes, 1),
            )
            for channels in in_channels
        )
        # Fixed; a parameter because the published checkpoints and their counts include it.
        positions = torch.arange(self.reg_max, dtype=torch.float32)
        self.dfl_positions = nn.Parameter(positions, requires_grad=False)
        self._initialise_biases()

    def _initialise_biases(self) -> None:
        # About five objects in a 640-pixel image, spread over the cells of each level.
        for box, score, stride in zip(self.cv2, self.cv3, self.strides, strict=True):
            box[-1].bias.data.fill_(1.0)  # type: ignore[index, union-attr]
            prior = 5 / self.classes / (640 / stride) ** 2
            score[-1].bias.data.fill_(torch.tensor(prior).log())  # type: ignore[index, union-attr]

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor] | Tensor:
        maps = [
            torch.cat((box(x), score(x)), dim=1)
            for box, score, x in zip(self.cv2, self.cv3, levels, strict=True)
        ]
        return maps if self.training else self.decode(maps)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Raw maps to predictions [B, 4 + classes, anchors]; see the class."""
        centres, strides = anchor_points(maps, self.strides)
        flat = torch.cat([m.flatten(2) for m in maps], dim=2)
        distribution, logits = flat.split((4 * self.reg_max, self.classes), dim=1)
        left, top, right, bottom = self.distances(distribution).unbind(dim=1)  # each [B, anchors]
        x, y = centres[:, 0], centres[:, 1]
        boxes = torch.stack(
            (x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom), dim=1
        )
        return torch.cat((boxes * (strides * self.zoom), logits.sigmoid()), dim=1)

    def distances(self, distribution: Tensor) -> Tensor:
        """[B, 4 * reg_max, anchors] logits to expected left, top, right, bottom in cells."""
        batch, _, anchors = distribution.shape
        bins = distribution.view(batch, 4, self.reg_max, anchors).softmax(dim=2)
        return (bins * self.dfl_positions.view(1, 1, -1, 1)).sum(dim=2)


def class_branch_width(first_channels: int, classes: int, at_least: int | None = None) -> int:
    """Channels of the class branch: those of the first level, or `at_least` if that is more.

    The paper's 2.0 M parameters for YOLOv9-t need min(classes, 100) here; the published code, and
    so every count tested here, has min(2 * classes, 128); None stands for that.
    """
    return max(first_channels, min(classes * 2, 128) if at_least is None else at_least)


def anchor_points(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cell centres [anchors, 2] (x, y) in cells and strides [anchors], level by level."""
    centres, sizes = [], []
    for level, stride in zip(maps, strides, strict=True):
        height, width = level.shape[2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=level.device, dtype=torch.float32) + 0.5,
            torch.arange(width, device=level.device, dtype=torch.float32) + 0.5,
            indexing="ij",
        )
        centres.append(torch.stack((x, y), dim=-1).view(-1, 2))
        sizes.append(torch.full((height * width,), float(stride), device=level.device))
    return torch.cat(centres), torch.cat(sizes)
