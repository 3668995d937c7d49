"""The `fully_conv_optim` transformer: the convolutions of light networks.

6,070,676 parameters with its heads but those of visibility, 3,804,480 without any, as published;
the keypoints' positions, which its source computes and never reads, are added here, unless
`as_published`.
"""

import torch
from torch import Tensor, nn

from peopleseg.networks.referring.efficient import instances_alone
from peopleseg.networks.referring.fully_conv import along_groups, along_keypoints
from peopleseg.networks.referring.layers import run
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

ENCODER_LAYERS = 3
HIDDEN = 320  # of the decoder's layers


def fully_conv_optim(groups: int = GROUPS) -> PoseTransformer:
    return PoseTransformer(
        LightEncoder(), [GhostDecoderLayer() for _ in range(DECODER_LAYERS)], groups
    )


class LightEncoder(Encoder):
    """Each map by the same layers, the coarsest by one more."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Separable(5)
        self.layers = nn.ModuleList(InvertedLayer() for _ in range(ENCODER_LAYERS))
        self.pool = FastPool()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, maps: Pyramid, positions: Tensor, recompute: bool = False) -> Pyramid:
        found = []
        for one in maps.with_tokens(maps.tokens + positions).maps():
            one = self.stem(one)
            for layer in self.layers:
                one = run(layer, one, recompute=recompute)
            found.append(one)
        found[-1] = self.pool(found[-1])
        return maps.with_tokens(self.norm(pyramid(found).tokens))


class InvertedLayer(nn.Module):
    """[P, 256, h, w] to the same by twice the channels, squeezed and excited (arXiv:1905.02244)."""

    def __init__(self) -> None:
        super().__init__()
        inner = 2 * WIDTH
        self.expand = _conv(WIDTH, inner)
        self.each = nn.Sequential(
            nn.Conv2d(inner, inner, 7, padding=3, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.SiLU(),
        )
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inner, inner // 4, 1),
            nn.SiLU(),
            nn.Conv2d(inner // 4, inner, 1),
            nn.Sigmoid(),
        )
        self.project = nn.Sequential(nn.Conv2d(inner, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.each(self.expand(maps))
        return maps + self.project(inner * self.excite(inner))  # type: ignore[no-any-return]


class FastPool(nn.Module):
    """Maxima of ever larger neighbourhoods beside each cell, as in YOLO's SPPF."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = _conv(WIDTH, WIDTH // 2)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.project = _conv(4 * (WIDTH // 2), WIDTH)

    def forward(self, maps: Tensor) -> Tensor:
        found = [self.squeeze(maps)]
        for _ in range(3):
            found.append(self.pool(found[-1]))
        return self.project(torch.cat(found, dim=1))  # type: ignore[no-any-return]


class Ghost(nn.Module):
    """[B, in, T] to [B, out, T]: half of it convolved of the other (Han et al. 2020)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.first = nn.Sequential(
            nn.Conv1d(in_channels, half, 1, bias=False), nn.BatchNorm1d(half), nn.ReLU()
        )
        self.cheap = nn.Sequential(
            nn.Conv1d(half, half, 3, padding=1, groups=half, bias=False),
            nn.BatchNorm1d(half),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        first = self.first(tokens)
        return torch.cat((first, self.cheap(first)), dim=1)


class GhostDecoderLayer(DecoderLayer):
    """349,856 parameters. Of the memory it sees the mean alone."""

    def __init__(self) -> None:
        super().__init__()
        self.within = nn.Sequential(
            Ghost(WIDTH, HIDDEN),
            nn.Conv1d(HIDDEN, HIDDEN, 3, padding=1, groups=HIDDEN, bias=False),
            Ghost(HIDDEN, WIDTH),
        )
        self.within_norm = nn.BatchNorm1d(WIDTH)
        self.across = nn.Sequential(
            nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False),
            nn.Conv1d(WIDTH, WIDTH, 1, bias=False),
            nn.BatchNorm1d(WIDTH),
        )
        self.memory = nn.Sequential(
            nn.Linear(WIDTH, WIDTH // 4, bias=False),
            nn.Linear(WIDTH // 4, WIDTH, bias=False),
            nn.LayerNorm(WIDTH),
        )
        self.forward_layers = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN, bias=False),
            nn.SiLU(),
            nn.Linear(HIDDEN, WIDTH, bias=False),
            nn.LayerNorm(WIDTH),
        )

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        placed = tokens if self.as_published else tokens + positions
        tokens = tokens + along_keypoints(self.within, placed)
        tokens = along_keypoints(self.within_norm, tokens)
        tokens = tokens + instances_alone(along_groups(self.across, tokens[:, :, 0]))
        tokens = tokens + self.memory(memory.tokens.mean(dim=1))[:, None, None]
        return tokens + self.forward_layers(tokens)  # type: ignore[no-any-return]


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.SiLU(),
    )
