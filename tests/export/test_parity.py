"""What an export compares, and what it refuses: faults are planted, each is found and named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conversion.export import exportable
from conversion.export.exporter import export
from conversion.export.inputs import IMAGES, RANDOM, Case
from conversion.export.onnx_export import export_onnx
from conversion.export.parity import (
    EXACT,
    QUANTISED,
    Expected,
    ParityError,
    gaps,
    judge,
)
from conversion.export.settings import ExportError, Settings
from conversion.export.tolerances import Tolerance, Tolerances
from peopleseg.networks.checkpoint import CheckpointError
from peopleseg.systems.known import STEPS
from peopleseg.systems.step import Arrays
from tests.export.networks import checkpoint, detector, mask_head, people_unet

SETTINGS = Settings(check_pinned_runtime=False)


def expected(outputs: Arrays, source: str = IMAGES) -> list[Expected]:
    return [Expected(Case(source, {"pixels": np.zeros((1, 3, 4, 4), np.uint8)}), outputs)]


def logits(values: list[float]) -> Arrays:
    return {"mask_logits": np.array([values], dtype=np.float32)}


def test_a_gap_is_the_largest_and_the_mean_difference() -> None:
    found = gaps(expected(logits([1, -2, 3, 0])), lambda _: logits([1, -2.5, 3, 0.25]))
    gap = found[IMAGES]["mask_logits"]
    assert gap.max == pytest.approx(0.5)
    assert gap.mean == pytest.approx(0.75 / 4)
    assert gap.magnitude == pytest.approx(6 / 4)


def test_boxes_and_scores_of_predictions_are_compared_apart() -> None:
    predictions = np.ones((1, 5, 3), dtype=np.float32)
    other = predictions.copy()
    other[0, 4, 1] = 0.5
    found = gaps(expected({"predictions": predictions}), lambda _: {"predictions": other})
    assert found[IMAGES]["boxes"].max == 0
    assert found[IMAGES]["scores"].max == 0.5


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (logits([1, 2, 3.5]), r"mask_logits on images differs by at most 0\.5"),
        (logits([1, 2, float("nan")]), "at most nan"),
        (logits([1, 2, float("inf")]), "at most inf"),
    ],
)
def test_what_is_out_of_tolerance_is_refused(found: Arrays, message: str) -> None:
    with pytest.raises(ParityError, match=message):
        judge(gaps(expected(logits([1, 2, 3])), lambda _: found), EXACT, "it")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, r"mask_logits is missing, in torch float32\[1, 3\]"),
        (logits([1]), r"is float32\[1, 1\]"),
        ({"mask_logits": np.ones((1, 3), np.float16)}, r"is float16\[1, 3\]"),
    ],
)
def test_another_form_is_refused(found: Arrays, message: str) -> None:
    with pytest.raises(ParityError, match=message):
        gaps(expected(logits([1, 1, 1])), lambda _: found)


def test_fp16_counts_in_parts_of_large_values() -> None:
    values = np.array([[0.5, 100]], dtype=np.float16)
    found = gaps(expected({"features": values}), lambda _: {"features": values + np.float16(0.25)})
    assert found[IMAGES]["features"].max == 0.25
    assert found[IMAGES]["features"].mean == pytest.approx((0.25 + 0.0025) / 2)


def test_a_mean_is_judged_by_the_magnitude() -> None:
    limits = Tolerances({"mask_logits": Tolerance(1.0, mean_share=0.1)})
    found = gaps(expected(logits([10, 10])), lambda _: logits([10.5, 10.5]))
    judge(found, limits, "it")
    found = gaps(expected(logits([1, 1])), lambda _: logits([1.5, 1.5]))
    with pytest.raises(ParityError, match=r"on average 0\.5 of 1"):
        judge(found, limits, "it")


def test_int8_is_not_held_to_random_inputs() -> None:
    found = gaps(expected(logits([1, 1]), RANDOM), lambda _: logits([9, 9]))
    judge(found, QUANTISED, "it")
    with pytest.raises(ParityError):
        judge({IMAGES: found[RANDOM]}, QUANTISED, "it")


def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_another(module: Any, *arguments: Any) -> None:
        bias = module.network.unet.segmentation_head[0].bias
        with torch.no_grad():
            bias += 0.01
            export_onnx(module, *arguments)
            bias -= 0.01

    monkeypatch.setattr(exportable, "export_onnx", export_another)
    source = checkpoint(tmp_path / "unet.ckpt", people_unet("b0"))
    with pytest.raises(ParityError, match="person_logit on images differs by at most 0.01"):
        export(source, images, SETTINGS, repository=tmp_path / "repository")
    assert [path.name for path in (tmp_path / "repository").rglob("*")] == ["people_unet"]


class _UnroundedFeatures(nn.Module):
    """A detector that forgets to make its features FP16."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = pixels.float()[:, :, ::8, ::8]
        return features, features.flatten(2)[:, :1, :].expand(-1, 5, -1)


class _SwappedOutputs(_UnroundedFeatures):
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features, predictions = super().forward(pixels)
        return predictions, features.half()


@pytest.mark.parametrize("network", [_UnroundedFeatures, _SwappedOutputs])
def test_a_graph_of_another_type_is_refused(
    network: Callable[[], nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"features FLOAT.*contract says.*features FP16"):
        export_onnx(network(), STEPS["yolov9"], tmp_path / "model.onnx")


def test_a_detector_of_many_classes_is_refused_with_the_way_out(
    tmp_path: Path, images: list[Path]
) -> None:
    source = checkpoint(tmp_path / "detector.ckpt", detector("t", classes=3))
    with pytest.raises(CheckpointError, match=r"3 classes.*--keep-class"):
        export(source, images, SETTINGS, repository=tmp_path)


def test_a_head_without_a_detector_anywhere_is_refused_with_the_way_out(
    tmp_path: Path, images: list[Path]
) -> None:
    source = checkpoint(tmp_path / "head.ckpt", mask_head("b0"))
    with pytest.raises(CheckpointError, match="needs a yolov9"):
        export(source, images, SETTINGS, repository=tmp_path)


def test_a_head_reads_the_repositorys_networks_where_its_checkpoint_has_none(
    tmp_path: Path, images: list[Path], companions: dict[str, Any]
) -> None:
    for network in companions.values():
        source = checkpoint(tmp_path / "beside.ckpt", network)
        export(source, images, SETTINGS, repository=tmp_path)
    source = checkpoint(tmp_path / "head.ckpt", mask_head("b0", 160))
    found = export(source, images, SETTINGS, repository=tmp_path)
    assert found == tmp_path / "hierarchical_head" / "1"
    source = checkpoint(tmp_path / "head.ckpt", mask_head("b0", 320))
    with pytest.raises(CheckpointError, match="features of 320 channels, .* has 160"):
        export(source, images, SETTINGS, repository=tmp_path)
