"""A head on detector features: its masks lie over the box, though it reads around it."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from conversion.export.exporter import export
from conversion.export.families import of_network
from conversion.export.settings import Settings
from conversion.people.exportable import middle_samples, of_feature_head
from peopleseg.networks.checkpoint import CheckpointError, load_network
from tests.export.networks import checkpoint, detector, feature_head


def test_the_middle_of_a_ramp_is_a_shorter_ramp() -> None:
    cells, padding = 56, 0.1
    widened = (torch.arange(cells) + 0.5) / cells * (1 + 2 * padding) - padding  # of the box's side
    inside = (torch.arange(cells) + 0.5) / cells
    torch.testing.assert_close(middle_samples(cells, padding) @ widened, inside)


def test_without_padding_nothing_is_cut() -> None:
    torch.testing.assert_close(middle_samples(56, 0.0), torch.eye(56))


@pytest.mark.parametrize("padding", [0.0, 0.1, 0.25])
def test_a_feature_heads_masks_lie_over_the_box(padding: float) -> None:
    network = feature_head(16)
    cells = torch.randn(2, 16, 28, 28)
    middle = (torch.arange(56) + 0.5) / 56 * 2 - 1  # of the box's half side, from its centre
    row, column = torch.meshgrid(*[middle / (1 + 2 * padding)] * 2, indexing="ij")
    grid = torch.stack((column, row), dim=-1).expand(2, -1, -1, -1)
    with torch.no_grad():
        found = of_feature_head(network, padding).module(cells.half())
        whole = network(cells.half().float())
        expected = F.grid_sample(whole, grid, align_corners=False)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("given", "recorded"), [(None, 0.1), (0.0, 0.0), (0.25, 0.25)])
def test_a_feature_heads_padding_is_recorded(
    given: float | None, recorded: float, tmp_path: Path
) -> None:
    loaded = load_network(checkpoint(tmp_path / "head.ckpt", feature_head(16)))
    assert of_network(loaded, roi_padding=given).settings == {"roi_padding": recorded}


def test_a_padding_is_for_feature_heads_alone(tmp_path: Path, images: list[Path]) -> None:
    source = checkpoint(tmp_path / "detector.ckpt", detector("t"))
    with pytest.raises(CheckpointError, match="leave out --roi-padding"):
        export(source, images, Settings(options={"roi_padding": 0.1}), repository=tmp_path)
