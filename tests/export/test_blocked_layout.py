"""Graphs for ONNX Runtime's CPU provider: the same outputs, in its blocked layout where it pays."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conversion.export.blocked_layout import keep_blocked
from tests.export.graphs import exported, response_and_operators


class Silus(nn.Module):
    """Convolutions with SiLU between them, and a product of two maps that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.silu(self.second(F.silu(self.first(images))))
        return x * torch.sigmoid(-x)


class OneChannel(nn.Module):
    """One channel, and sixteen, doubled in size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 16, 3, padding=1)
        self.classifier = nn.Conv2d(16, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return _doubled(self.classifier(_doubled(self.features(images))))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("network", "plainly", "expected"),
    [(Silus, "QuickGelu", 0), (OneChannel, "Resize", 1)],
)
def test_a_rewritten_graph_answers_the_same_in_other_operators(
    network: type[nn.Module], plainly: str, expected: int, tmp_path: Path
) -> None:
    model = exported(network(), tmp_path)
    before, operators = response_and_operators(model, tmp_path)
    model = keep_blocked(model)
    onnx.checker.check_model(model)
    after, rewritten = response_and_operators(model, tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert operators[plainly] != expected, "without it ONNX Runtime does otherwise"
    assert rewritten[plainly] == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_graph_with_nothing_to_rewrite_stays_as_it_is(tmp_path: Path) -> None:
    model = exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), tmp_path)
    before = model.SerializeToString()
    assert keep_blocked(model).SerializeToString() == before
