"""Logits computed before their maps are doubled: the same responses for fewer operations."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

from conversion.export.half_size import double_late
from tests.data.published import randomise
from tests.export.graphs import exported, response_and_operators

SAME_SIZE: dict[str, Any] = {"kernel_size": 3, "padding": 1}
DOUBLING: dict[str, Any] = {"kernel_size": 2, "stride": 2}


class Ending(nn.Module):
    """Maps, doubled, and logits of them."""

    def __init__(
        self,
        *,
        outputs: int = 2,
        bias: bool = True,
        doubling: dict[str, Any] = DOUBLING,
        convolution: dict[str, Any] = SAME_SIZE,
        norm: bool = True,
        read_twice: bool = False,
    ) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 32, 3, padding=1)
        self.transposed = nn.ConvTranspose2d(32, 16, bias=bias, **doubling)
        self.norm = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.conv = nn.Conv2d(16, outputs, bias=bias, **convolution)
        self.read_twice = read_twice
        randomise(self)

    def forward(self, images: Tensor) -> Tensor:
        doubled = self.norm(self.transposed(self.maps(images).relu())).relu()
        logits = self.conv(doubled)
        return logits + doubled.mean() if self.read_twice else logits


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dims", [{}, {"outputs": 1}, {"outputs": 4}, {"bias": False}])
def test_a_rewritten_graph_doubles_logits_and_answers_the_same(
    dims: dict[str, Any], tmp_path: Path
) -> None:
    model = exported(Ending(**dims), tmp_path)
    before, _ = response_and_operators(model, tmp_path)
    model = double_late(model)
    onnx.checker.check_model(model)
    after, operators = response_and_operators(model, tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    # ONNX Runtime takes norm, ReLU and sum into the convolutions.
    fused = ("ConvTranspose", "BatchNormalization", "Relu", "Add")
    assert not any(operators[name] for name in fused)
    assert (operators["Conv"], operators["DepthToSpace"]) == (9, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "dims",
    [
        {"outputs": 5},
        {"doubling": {"kernel_size": 4, "stride": 2, "padding": 1}},
        {"doubling": DOUBLING | {"output_padding": 1}},
        {"doubling": DOUBLING | {"groups": 2}},
        {"convolution": {"kernel_size": 1}},
        {"convolution": {"kernel_size": 3}},
        {"convolution": {"kernel_size": 3, "padding": 2, "dilation": 2}},
        {"norm": False},
        {"read_twice": True},
    ],
)
def test_a_graph_with_another_ending_stays_as_it_is(dims: dict[str, Any], tmp_path: Path) -> None:
    model = exported(Ending(**dims), tmp_path)
    before = model.SerializeToString()
    assert double_late(model).SerializeToString() == before
