"""Deformable attention reads what a loop over tokens, heads, maps and points reads."""

import pytest
import torch
from torch import Tensor

from peopleseg.networks.referring.deformable_attention import (
    LEVELS,
    DeformableAttention,
    sample,
)
from peopleseg.networks.referring.pyramid import Pyramid, pyramid

SIZES = ((6, 5), (3, 3), (2, 2), (1, 1))


def planes(channels: int, prompts: int = 2) -> list[Tensor]:
    return [torch.randn(prompts, channels, *size) for size in SIZES]


def at(plane: Tensor, x: float, y: float) -> Tensor:
    """[C, h, w] at x, y in [0, 1], bilinear between the centres of cells, zero beyond them."""
    column, row = x * plane.shape[2] - 0.5, y * plane.shape[1] - 0.5
    left, top = int(column // 1), int(row // 1)
    total = torch.zeros(plane.shape[0])
    for cell_row in (top, top + 1):
        for cell_column in (left, left + 1):
            inside = 0 <= cell_row < plane.shape[1] and 0 <= cell_column < plane.shape[2]
            share = (1 - abs(row - cell_row)) * (1 - abs(column - cell_column))
            if inside:
                total += share * plane[:, cell_row, cell_column]
    return total


def slow_sample(values: list[Tensor], where: Tensor, weights: Tensor) -> Tensor:
    prompts, tokens, heads, levels, points = weights.shape
    width = values[0].shape[1] // heads
    found = torch.zeros(prompts, tokens, heads, width)
    for p, t, h, level, k in torch.cartesian_prod(
        *(torch.arange(length) for length in weights.shape)
    ).tolist():
        plane = values[level][p, h * width : (h + 1) * width]
        x, y = where[p, t, h, level, k].tolist()
        found[p, t, h] += weights[p, t, h, level, k] * at(plane, x, y)
    return found.flatten(2)


def test_samples_are_those_of_a_slow_loop() -> None:
    torch.manual_seed(0)
    where = torch.rand(2, 3, 4, LEVELS, 2, 2) * 1.4 - 0.2  # some beyond the maps
    weights = torch.rand(2, 3, 4, LEVELS, 2)
    values = planes(channels=12)
    found, expected = sample(values, where, weights), slow_sample(values, where, weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_layer_looks_around_its_tokens_in_cells_of_each_map() -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(heads=2, points=2, width=8)
    with torch.no_grad():
        for values in layer.parameters():
            values.copy_(torch.randn_like(values) / 2)
    tokens, places, memory = torch.randn(2, 3, 8), torch.rand(2, 3, 2), pyramid(planes(8))
    offsets = layer.offsets(tokens).view(2, 3, 2, LEVELS, 2, 2)
    weights = layer.weights(tokens).view(2, 3, 2, -1).softmax(-1).view(2, 3, 2, LEVELS, 2)
    where = torch.empty_like(offsets)
    for level, (height, width) in enumerate(SIZES):
        for axis, cells in enumerate((width, height)):
            shift = offsets[:, :, :, level, :, axis] / cells
            where[:, :, :, level, :, axis] = places[:, :, None, None, axis] + shift
    maps = memory.with_tokens(layer.value(memory.tokens)).maps()
    expected = layer.out(slow_sample(maps, where, weights))
    torch.testing.assert_close(layer(tokens, places, memory), expected, atol=1e-5, rtol=1e-4)


def test_at_first_heads_look_into_directions_of_their_own() -> None:
    layer = DeformableAttention()
    offsets = layer.offsets(torch.randn(1, 1, 256)).view(8, LEVELS, 4, 2)
    torch.testing.assert_close(offsets[0, :, :, 0], torch.arange(1.0, 5).expand(LEVELS, 4))
    ends = offsets[:, 0, 3]
    assert len(ends.round().unique(dim=0)) == 8
    assert ends.abs().amax(dim=1).tolist() == pytest.approx([4.0] * 8)


def test_half_precision_changes_the_answer_little() -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(heads=2, width=8)
    tokens, places, memory = torch.randn(2, 3, 8), torch.rand(2, 3, 2), pyramid(planes(8))
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(tokens, places, memory)
    torch.testing.assert_close(half.float(), layer(tokens, places, memory), atol=0.05, rtol=0.05)


def test_a_pyramid_is_taken_apart_as_it_was_put_together() -> None:
    maps = planes(channels=3)
    found = pyramid(maps)
    assert isinstance(found, Pyramid) and found.sizes_hw == SIZES
    for one, expected in zip(found.maps(), maps, strict=True):
        assert torch.equal(one, expected)
