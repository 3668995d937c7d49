"""The `fully_conv` transformer: convolutions alone, of maps and along a group's tokens.

12,335,700 parameters with its heads but those of visibility, 10,069,504 without any, as published,
where three faults are mended at no parameter. The maps were fused by a module made anew, at random,
in every forward pass: here a coarser map is added to the finer one below it. A norm of channels ran
along the groups, and failed unless there were 256. The keypoints' positions were never read.
"""

import torch
from torch import Tensor, nn

from peopleseg.networks.referring.efficient import instances_alone
from peopleseg.networks.referring.layers import feed_forward, run
from peopleseg.networks.referring.pose_transformer import (
    DECODER_LAYERS,
    GROUPS,
    DecoderLayer,
    Encoder,
    PoseTransformer,
)
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from peopleseg.networks.referring.separable import Separable
from peopleseg.networks.resizing import resized

ENCODER_LAYERS = 3
POOLS = (1, 2, 3, 6)  # cells a side of what the maps are pooled to
DROPOUT = 0.1


def fully_conv(groups: int = GROUPS) -> PoseTransformer:
    return PoseTransformer(
        ConvEncoder(), [ConvDecoderLayer() for _ in range(DECODER_LAYERS)], groups
    )


class ConvEncoder(Encoder):
    """Each map by the same layers, then added to the finer one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Separable(7), nn.GELU(), Separable(5), nn.GELU())
        self.layers = nn.ModuleList(ConvNeXtLayer() for _ in range(ENCODER_LAYERS))
        self.pool = PyramidPool()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, maps: Pyramid, positions: Tensor, recompute: bool = False) -> Pyramid:
        found = []
        for one in maps.with_tokens(maps.tokens + positions).maps():
            one = self.stem(one)
            for layer in self.layers:
                one = run(layer, one, recompute=recompute)
            found.append(self.pool(one))
        fused = [found[-1]]
        for finer, size_hw in zip(found[-2::-1], maps.sizes_hw[-2::-1], strict=True):
            fused.append(finer + resized(fused[-1], size_hw))
        return maps.with_tokens(self.norm(pyramid(fused[::-1]).tokens))


class ConvNeXtLayer(nn.Module):
    """[P, 256, h, w] to the same, by 407,552 parameters (Liu et al. 2022, arXiv:2201.03545)."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.forward_layers = feed_forward(3 * WIDTH, nn.GELU())

    def forward(self, maps: Tensor) -> Tensor:
        cells = self.norm(self.each(maps).permute(0, 2, 3, 1))
        return maps + self.forward_layers(cells).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class PyramidPool(nn.Module):
    """Beside each cell the means of ever smaller parts of the map (Zhao et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleList(_conv(WIDTH, WIDTH // len(POOLS)) for _ in POOLS)
        self.project = _conv(2 * WIDTH, WIDTH)

    def forward(self, maps: Tensor) -> Tensor:
        # Of one prompt alone a norm of 1 x 1 cells knows no variance: it takes its running one.
        self.pools.get_submodule("0.1").train(self.training and len(maps) > 1)
        size_hw = (int(maps.shape[2]), int(maps.shape[3]))
        means = [
            resized(pool(part_means(maps, cells)), size_hw)
            for pool, cells in zip(self.pools, POOLS, strict=True)
        ]
        return self.project(torch.cat((maps, *means), dim=1))  # type: ignore[no-any-return]


class ConvDecoderLayer(DecoderLayer):
    """1,382,400 parameters. A token's neighbours are the next keypoints, a group's the next groups.

    Of the memory it sees the mean alone. The instances' tokens keep what they were, as in
    `fully_conv_optim`; the source replaces them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.within = nn.Sequential(
            nn.Conv1d(WIDTH, 2 * WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(2 * WIDTH, WIDTH, 3, padding=1),
        )
        self.within_norm = nn.LayerNorm(WIDTH)
        self.across = nn.Sequential(
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 1),
            nn.GELU(),
        )
        self.across_norm = nn.LayerNorm(WIDTH)
        self.memory, self.forward_layers = _normed_forward(), _normed_forward()

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        tokens = self.within_norm(tokens + along_keypoints(self.within, tokens + positions))
        others = self.across_norm(along_groups(self.across, tokens[:, :, 0]))
        tokens = tokens + instances_alone(others)
        tokens = tokens + self.memory(memory.tokens.mean(dim=1))[:, None, None]
        return tokens + self.forward_layers(tokens)  # type: ignore[no-any-return]


def along_keypoints(convolve: nn.Module, tokens: Tensor) -> Tensor:
    """What convolves [B, C, 18], of tokens [P, Q, 18, C]."""
    rows = convolve(tokens.flatten(0, 1).transpose(1, 2)).transpose(1, 2)
    return rows.unflatten(0, (-1, tokens.shape[1]))  # type: ignore[no-any-return]


def along_groups(convolve: nn.Module, instances: Tensor) -> Tensor:
    """What convolves [P, C, Q], of instances [P, Q, C]."""
    return convolve(instances.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


def part_means(maps: Tensor, cells: int) -> Tensor:
    """[P, C, h, w] to the means of cells x cells parts, which may overlap by a cell.

    As torch's adaptive pooling, but exported for sizes that `cells` does not divide.
    """
    rows, columns = (_parts(int(length), cells, maps) for length in maps.shape[2:])
    return rows @ maps @ columns.T


def _parts(length: int, parts: int, like: Tensor) -> Tensor:
    """What makes means of a line's parts, [parts, length]."""
    shares = torch.zeros(parts, length, dtype=like.dtype)
    for part in range(parts):
        first, end = part * length // parts, -(-(part + 1) * length // parts)
        shares[part, first:end] = 1 / (end - first)
    return shares.to(like.device)


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def _normed_forward() -> nn.Sequential:
    first, activation, last = feed_forward(2 * WIDTH, nn.GELU())
    return nn.Sequential(first, activation, nn.Dropout(DROPOUT), last, nn.LayerNorm(WIDTH))
