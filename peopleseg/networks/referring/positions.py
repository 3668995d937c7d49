"""Positions as vectors of sines, and positions on the scale that refinement adds to."""

import math

import torch
from torch import Tensor

WIDTH = 256  # of every token
MAP_TEMPERATURE = 20.0  # of cells' positions, as published
TEMPERATURE = 10_000.0  # of words' and keypoints'
_EDGE = 1e-5  # positions are kept this far from 0 and 1, whose logits are infinite


def sines(values: Tensor, channels: int, temperature: float) -> Tensor:
    """[...] in [0, 1] to [..., channels]: sine and cosine by turns, from one turn to slow ones.

    Vaswani et al. 2017 (arXiv:1706.03762), of shares of a whole as in DETR (arXiv:2005.12872).
    """
    pairs = torch.arange(channels // 2, dtype=torch.float32, device=values.device)
    angles = values[..., None] * (2 * math.pi) / temperature ** (2 * pairs / channels)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def point_sines(points: Tensor, temperature: float, channels: int = WIDTH) -> Tensor:
    """x, y in [0, 1], [..., 2], to [..., channels]: y in the first half."""
    halves = [sines(points[..., axis], channels // 2, temperature) for axis in (1, 0)]
    return torch.cat(halves, dim=-1)


def cell_centres(size_hw: tuple[int, int], like: Tensor) -> Tensor:
    """x, y in (0, 1) of a map's cells, row by row: [h * w, 2] fp32 on the device of `like`."""
    ys, xs = (
        (torch.arange(length, dtype=torch.float32, device=like.device) + 0.5) / length
        for length in size_hw
    )
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).flatten(0, 1)


def word_sines(padding: Tensor, channels: int = WIDTH) -> Tensor:
    """Of words, [P, T] bool where True is none, to [P, T, channels]; the last word is a whole."""
    there = (~padding).float()
    places = there.cumsum(dim=1)
    return sines(places / places[:, -1:].clamp(min=1), channels, TEMPERATURE)


def logit(positions: Tensor) -> Tensor:
    """What the sigmoid makes the positions of, for those between 0 and 1."""
    inside = positions.clamp(_EDGE, 1 - _EDGE)
    return torch.log(inside / (1 - inside))
