"""Deformable attention: a token looks at a few points of every map, which it chooses itself.

Zhu et al. 2021 (arXiv:2010.04159), in plain torch, which an exporter can follow.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.layers import OwnStart
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.pyramid import Pyramid

LEVELS = 4


class DeformableAttention(OwnStart):
    """Tokens [P, T, C] around positions in [0, 1], [P or 1, T, 2], and a pyramid to [P, T, C].

    A token's offsets are in cells of each map; beyond a map's edge there are zeros.
    """

    def __init__(self, heads: int = 8, points: int = 4, width: int = WIDTH) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(width, heads * LEVELS * points * 2)
        self.weights = nn.Linear(width, heads * LEVELS * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.initialise()

    def initialise(self) -> None:
        """Each head looks into a direction of its own, one cell further with each point."""
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        turns = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack((turns.cos(), turns.sin()), dim=-1)
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1.0, self.points + 1)
        offsets = directions[:, None, None] * steps[:, None].expand(LEVELS, -1, -1)
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.flatten())
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, positions: Tensor, memory: Pyramid) -> Tensor:
        where = self.offsets(tokens).unflatten(-1, (self.heads, LEVELS, self.points, 2))
        weights = self.weights(tokens).unflatten(-1, (self.heads, LEVELS * self.points))
        weights = weights.softmax(dim=-1).unflatten(-1, (LEVELS, self.points))
        cells = torch.tensor(memory.sizes_hw, dtype=torch.float32, device=tokens.device).flip(1)
        # Half precision knows no cell of a large map, so positions and what is read are fp32.
        where = positions[:, :, None, None, None].float() + where.float() / cells[:, None]
        values = memory.with_tokens(self.value(memory.tokens).float()).maps()
        seen = sample(values, where, weights.float())
        return self.out(seen.to(tokens.dtype))  # type: ignore[no-any-return]


def sample(values: list[Tensor], where: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of maps at points: [P, T, C].

    values: [P, C, h, w] each, the heads' channels one after another; where: x, y in [0, 1] of
    the whole map, [P, T, heads, maps, points, 2]; weights: [P, T, heads, maps, points]. Between
    the centres of cells a value is bilinear.
    """
    heads = where.shape[2]
    total: Tensor | None = None
    for level, value in enumerate(values):
        of_heads = value.unflatten(1, (heads, value.shape[1] // heads)).flatten(0, 1)
        grid = (2 * where[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        share = weights[:, :, :, level].transpose(1, 2).flatten(0, 1)[:, None]
        seen = F.grid_sample(of_heads, grid, align_corners=False)  # [P * heads, C / heads, T, K]
        part = (seen * share).sum(dim=-1)
        total = part if total is None else total + part
    assert total is not None
    return total.unflatten(0, (-1, heads)).flatten(1, 2).transpose(1, 2)
