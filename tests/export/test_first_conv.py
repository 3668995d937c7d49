"""A head's leading convolution in its detector: the same masks, through RoIAlign."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from conversion.export.exportable import middle_samples, of_feature_head, of_network
from conversion.export.exporter import export
from conversion.export.first_conv import ProjectedDetector, move_first_conv
from conversion.export.inputs import RoiReader
from conversion.export.settings import ExportError, Settings
from peopleseg.networks.checkpoint import CheckpointError, load_network
from peopleseg.networks.roi_align import roi_align
from peopleseg.pixels.images import prepare
from peopleseg.repository.manifest import Manifest, tensors_of
from peopleseg.systems.people.contract import ROI_SIZE_HW
from tests.export.networks import checkpoint, detector, feature_head, mask_head

SETTINGS = Settings(check_pinned_runtime=False, move_first_conv=True)
# Inside, over the edge on each side, and as large as the picture.
ROIS = torch.tensor(
    [
        [0, 100.0, 120.0, 300.0, 420.0],
        [0, -60.0, -30.0, 90.0, 200.0],
        [0, 560.0, 500.0, 700.0, 690.0],
        [0, 0.0, 0.0, 640.0, 640.0],
    ]
)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_commutes_with_a_1x1_convolution_but_not_with_its_bias(
    aligned: bool, samples: int
) -> None:
    torch.manual_seed(0)
    maps, conv = torch.randn(1, 12, 80, 80), nn.Conv2d(12, 5, 1)

    def aligned_maps(values: torch.Tensor) -> torch.Tensor:
        size_hw, scale = (7, 5), 1 / 8
        return roi_align(values, ROIS, size_hw, scale, samples=samples, aligned=aligned)

    with torch.no_grad():
        before, behind = aligned_maps(conv(maps)), conv(aligned_maps(maps))
        inside, outside = [0], [2]
        torch.testing.assert_close(before[inside], behind[inside], atol=1e-5, rtol=0)
        assert (before[outside] - behind[outside]).abs().max() > 1e-2
        assert conv.bias is not None
        conv.bias.zero_()
        torch.testing.assert_close(
            aligned_maps(conv(maps)), conv(aligned_maps(maps)), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda: mask_head("b0", 320), 256),
        (lambda: mask_head("lite", 320, roi_size_hw=ROI_SIZE_HW, judges_presence=True), 64),
        (lambda: feature_head(320), 256),
    ],
    ids=["published", "lite", "on features"],
)
def test_the_pair_computes_what_head_and_detector_computed(
    make: Any, channels: int, tmp_path: Path, pictures: list[Path], companions: dict[str, Any]
) -> None:
    beside = companions | {"detector": detector("s")}
    head = make()
    source = checkpoint(tmp_path / "head.ckpt", head, **beside)
    loaded = load_network(source)
    whole = of_network(loaded)
    projection, rest = move_first_conv(loaded.network)
    pixels, _ = prepare(pictures[0].read_bytes())
    whole_detector: Any = loaded.companions["detector"]
    extended = {"detector": ProjectedDetector(whole_detector, projection)}
    loaded_rest = replace(loaded, network=rest, companions=loaded.companions | extended)
    moved = of_network(loaded_rest)
    assert moved.input_shapes["roi_features"][0] == channels
    assert projection.bias is None
    outputs = []
    for exportable, own in ((whole, loaded), (moved, loaded_rest)):
        inputs = RoiReader(own, exportable, tmp_path).read(pixels, ROIS.numpy())
        tensors = [torch.from_numpy(inputs[tensor.name]) for tensor in exportable.model.inputs]
        with torch.no_grad():
            found = exportable.reference(*tensors)
            outputs.append(found if isinstance(found, tuple) else (found,))
    for before, after in zip(*outputs, strict=True):
        magnitude = before.abs().mean()
        assert magnitude > 0.1
        assert (before - after).abs().mean() < 5e-3 * magnitude  # features travel as FP16


def test_both_versions_are_written_and_fit(
    tmp_path: Path, pictures: list[Path], companions: dict[str, Any]
) -> None:
    beside = companions | {"detector": detector("s")}
    source = checkpoint(tmp_path / "head.ckpt", mask_head("b0", 320), **beside)
    repository = tmp_path / "repository"
    versions = export(source, pictures, SETTINGS, repository=repository)
    assert versions == [repository / "yolov9" / "1", repository / "hierarchical_head" / "1"]
    made, read = (tensors_of(version) for version in versions)
    assert made.outputs["features"].shape == (256, 80, 80)
    assert read.inputs["roi_features"].shape == (256, 32, 24)
    of_pair, of_head = (Manifest.read(version) for version in versions)
    assert of_pair.export == {"first_conv": "of hierarchical_head"}
    assert of_head.export == {"first_conv": "in yolov9"}
    assert of_pair.checkpoint_sha256 == of_head.checkpoint_sha256
    assert of_head.variant["feature_channels"] == 320
    whole = of_head.parity["unmoved_against_artifact"]["pictures"]["mask_logits"]
    assert 0 < whole["mean"] < 0.02 * whole["magnitude"]
    weights = {t.name: t.dims for t in onnx.load(versions[1] / "model.onnx").graph.initializer}
    combiner = next(dims for name, dims in weights.items() if "feature_combiner" in name)
    assert list(combiner) == [256, 256 + 2, 1, 1]


@pytest.mark.parametrize(
    "make", [lambda: mask_head("b0"), lambda: detector("t")], ids=["a head on RGB", "a detector"]
)
def test_there_has_to_be_something_to_move(
    make: Any, tmp_path: Path, pictures: list[Path], companions: dict[str, Any]
) -> None:
    network = make()
    beside = companions if type(network).__name__.endswith("Head") else {}
    source = checkpoint(tmp_path / "c.ckpt", network, **beside)
    with pytest.raises(ExportError, match="--move-first-conv takes a head on features"):
        export(source, pictures, SETTINGS, repository=tmp_path / "repository")


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


def test_a_padding_is_for_feature_heads_alone(tmp_path: Path, pictures: list[Path]) -> None:
    source = checkpoint(tmp_path / "detector.ckpt", detector("t"))
    with pytest.raises(CheckpointError, match="leave out --roi-padding"):
        export(source, pictures, Settings(roi_padding=0.1), repository=tmp_path)
