"""Maps convolved before they are enlarged: the same responses for fewer operations."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conversion.export.early_convolution import convolve_early
from conversion.export.inputs import random_cases
from conversion.export.onnx_export import export_onnx
from conversion.export.precision import convert
from conversion.export.runners import onnx_runner
from conversion.export.settings import Settings
from conversion.people.exportable import of_mask_head
from peopleseg.systems.people.contract import ROI_SIZE_HW
from tests.data.published import randomise
from tests.export.graphs import SHAPE, exported, response_and_operators
from tests.export.networks import mask_head

DOUBLED: dict[str, Any] = {"scale_factor": 2.0, "mode": "bilinear", "align_corners": False}
SAME_SIZE: dict[str, Any] = {"strides": (1, 1), "resize": None}
TO_SIZE: dict[str, Any] = {"size": SHAPE[2:], "mode": "bilinear", "align_corners": True}


class Joint(nn.Module):
    """A convolution of maps and of deeper ones, resized to their size."""

    def __init__(
        self,
        *,
        strides: tuple[int, int] = (1, 2),
        resize: dict[str, Any] | None = DOUBLED,
        deeper_first: bool = False,
        read_twice: bool = False,
        channels: int = 16,
        **convolution: Any,
    ) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, channels, 3, strides[0], padding=1)
        self.deeper = nn.Conv2d(3, 32, 3, strides[1], padding=1)
        self.convolution = nn.Conv2d(channels + 32, 16, **({"kernel_size": 1} | convolution))
        self.norm = nn.BatchNorm2d(16)
        self.resize, self.deeper_first, self.read_twice = resize, deeper_first, read_twice
        randomise(self)

    def forward(self, images: Tensor) -> Tensor:
        maps, deeper = self.maps(images).relu(), self.deeper(images).relu()
        pair = [maps, F.interpolate(deeper, **self.resize) if self.resize else deeper]
        joint = torch.cat(pair[::-1] if self.deeper_first else pair, dim=1)
        response = self.norm(self.convolution(joint)).relu()
        return response + joint.mean() if self.read_twice else response


class Alone(nn.Module):
    """A convolution of enlarged maps and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 16, 3, padding=1)
        self.classifier = nn.Conv2d(16, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(F.interpolate(self.features(images).relu(), **DOUBLED))


def makers_of_resized(model: Any) -> set[str]:
    """The operators whose results are resized."""
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    return {made[node.input[0]] for node in model.graph.node if node.op_type == "Resize"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "network",
    [
        Joint,
        lambda: Joint(deeper_first=True),
        lambda: Joint(resize={"scale_factor": 2.0, "mode": "nearest"}),
        Alone,
    ],
)
def test_a_rewritten_graph_enlarges_what_is_convolved_and_answers_the_same(
    network: Callable[[], nn.Module], tmp_path: Path
) -> None:
    model = exported(network(), tmp_path)
    assert makers_of_resized(model) == {"Relu"}
    before, _ = response_and_operators(model, tmp_path)
    model = convolve_early(model)
    onnx.checker.check_model(model)
    assert makers_of_resized(model) == {"Conv"}
    after, _ = response_and_operators(model, tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dims", [{}, SAME_SIZE])
def test_onnx_runtime_adds_within_the_convolution(dims: dict[str, Any], tmp_path: Path) -> None:
    model = exported(Joint(**dims), tmp_path)
    before, _ = response_and_operators(model, tmp_path)
    model = convolve_early(model)
    assert "Concat" not in {node.op_type for node in model.graph.node}
    after, operators = response_and_operators(model, tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert operators["Conv"] == 4
    assert operators["Add"] == operators["Relu"] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "dims",
    [
        {"kernel_size": 3},
        {"stride": 2},
        {"groups": 2},
        {"read_twice": True},
        {"resize": TO_SIZE},
        SAME_SIZE | {"channels": 24},
    ],
)
def test_a_graph_with_nothing_to_gain_stays_as_it_is(dims: dict[str, Any], tmp_path: Path) -> None:
    model = exported(Joint(**dims), tmp_path)
    before = model.SerializeToString()
    assert convolve_early(model).SerializeToString() == before


@pytest.mark.parametrize(("stored", "tolerance"), [("fp32", 1e-4), ("fp16", 5e-2)])
def test_the_lite_head_for_processors_convolves_before_each_resizing(
    stored: str, tolerance: float, tmp_path: Path
) -> None:
    exportable = of_mask_head(mask_head("lite", 160, roi_size_hw=ROI_SIZE_HW))
    full, artifact = tmp_path / "full.onnx", tmp_path / "model.onnx"
    export_onnx(exportable.module, exportable.model, full, exportable.input_shapes)
    cases = list(random_cases(exportable, (1, 3)))
    expected = [onnx_runner(full)(case.inputs)["mask_logits"] for case in cases]
    job: Any = SimpleNamespace(settings=Settings(stored=stored))
    convert(full, artifact, job)
    model = onnx.load(artifact)
    assert makers_of_resized(model) == {"Conv"}
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    weights = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    assert {made.get(name, "stored") for name in weights} <= {"stored", "Cast"}
    for case, logits in zip(cases, expected, strict=True):
        found = onnx_runner(artifact)(case.inputs)["mask_logits"]
        assert np.abs(found - logits).max() < tolerance * np.abs(logits).mean()
