"""Every variant of every family exports: computes what torch computes, is whole and described."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from conversion.export.exporter import export
from conversion.export.parity import EXACT
from conversion.export.settings import Settings
from peopleseg.repository.limits import MAX_IR_VERSION, OPSET
from peopleseg.repository.manifest import WEIGHTS, Manifest, reads_of, tensors_of
from peopleseg.systems.people.contract import ROI_SIZE_HW
from tests.export.networks import (
    SMALL_ROI,
    checkpoint,
    detector,
    feature_head,
    mask_head,
    people_unet,
)

SLOW = pytest.mark.slow  # the largest
VARIANTS: list[Any] = [
    pytest.param(lambda: detector("t", auxiliary=True), id="yolov9-t with auxiliary branch"),
    pytest.param(lambda: detector("t", canvas=416), id="yolov9-t on a smaller canvas"),
    pytest.param(lambda: detector("s"), id="yolov9-s", marks=SLOW),
    pytest.param(lambda: detector("m"), id="yolov9-m", marks=SLOW),
    pytest.param(lambda: detector("c"), id="yolov9-c", marks=SLOW),
    pytest.param(lambda: detector("e"), id="yolov9-e", marks=SLOW),
    pytest.param(lambda: people_unet("b0"), id="people_unet-b0 at half size"),
    pytest.param(lambda: people_unet("b0", shrink=1), id="people_unet-b0", marks=SLOW),
    pytest.param(lambda: people_unet("lite"), id="people_unet-lite at half size"),
    pytest.param(lambda: people_unet("lite0"), id="people_unet-lite0 at half size"),
    pytest.param(lambda: people_unet("b1"), id="people_unet-b1"),
    pytest.param(lambda: people_unet("b3"), id="people_unet-b3", marks=SLOW),
    pytest.param(lambda: people_unet("b7"), id="people_unet-b7", marks=SLOW),
    *(
        pytest.param(
            lambda variant=variant: mask_head(variant),
            id=f"hierarchical_head-{variant}",
            marks=SLOW if variant.startswith("b7") else (),
        )
        for variant in ("b0", "b1", "b1_enhanced", "b7", "b7_enhanced")
    ),
    pytest.param(lambda: mask_head("b0", 160), id="hierarchical_head-fused"),
    pytest.param(
        lambda: mask_head("lite", 160, roi_size_hw=ROI_SIZE_HW), id="hierarchical_head-lite"
    ),
    pytest.param(
        lambda: mask_head("lite", 160, roi_size_hw=ROI_SIZE_HW, judges_presence=True),
        id="hierarchical_head-lite that judges presence",
    ),
    pytest.param(lambda: mask_head("b0", 0, False), id="hierarchical_head-RGB alone"),
    pytest.param(lambda: mask_head("b0", roi_size_hw=ROI_SIZE_HW), id="as published", marks=SLOW),
    pytest.param(lambda: feature_head(160), id="feature_head", marks=SLOW),
]
COMPARED = {
    "yolov9": {"features", "boxes", "scores"},
    "people_unet": {"person_logit"},
    "hierarchical_head": {"mask_logits", "presence_logit"},
    "feature_head": {"mask_logits"},
}


@pytest.mark.parametrize("make", VARIANTS)
def test_a_variant_is_exported_whole_and_described(
    make: Callable[[], Any],
    tmp_path: Path,
    images: list[Path],
    companions: dict[str, Any],
    has_pinned_runtime: bool,
) -> None:
    network = make()
    beside = companions if type(network).__name__.endswith("Head") else {}
    source = checkpoint(tmp_path / "source.ckpt", network, **beside)
    settings = Settings(check_pinned_runtime=has_pinned_runtime)
    version = export(source, images, settings, repository=tmp_path / "repository")
    assert version.name == "1"
    files = {path.name for path in version.iterdir()}
    assert files == {"model.onnx", WEIGHTS, "manifest.json"}
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    manifest = Manifest.read(version)
    manifest.verify(version)
    assert manifest.variant == network.dims
    assert manifest.export == ({"roi_padding": 0.1} if manifest.model == "feature_head" else {})
    assert manifest.accuracy == {"some_miou": 0.5}
    _check_graph(version, manifest)
    _check_parity(manifest, has_pinned_runtime)


def _check_graph(version: Path, manifest: Manifest) -> None:
    graph = onnx.load(version / manifest.artifact)
    assert graph.ir_version == manifest.ir_version <= MAX_IR_VERSION
    assert [entry.version for entry in graph.opset_import] == [OPSET]
    training_only = ("auxiliary", "contour_branch", "distance_decoder")
    names = " ".join(node.name for node in graph.graph.node)
    assert not any(branch in names for branch in training_only)
    assert list(reads_of(version)) == _reads_of_the_graph(graph.graph) == manifest.reads
    for axis in (value.type.tensor_type.shape.dim[0] for value in graph.graph.input):
        assert axis.dim_param == "batch"


def _reads_of_the_graph(graph: Any) -> list[str]:
    read = {name for node in graph.node for name in node.input}
    return [value.name for value in graph.input if value.name in read]


def _check_parity(manifest: Manifest, has_pinned_runtime: bool) -> None:
    sizes = [1, 3] if manifest.reads == ["pixels"] else [1, 7]
    assert manifest.parity["batches"] == {"images": sizes, "random": sizes}
    exact = manifest.parity["fp32_against_torch"]
    for by_name in (*exact.values(), *manifest.parity["artifact_against_torch"].values()):
        assert set(by_name) == COMPARED[manifest.model]
        assert all(gap["mean"] <= gap["max"] and gap["magnitude"] > 0 for gap in by_name.values())
    for by_name in exact.values():
        for name, gap in by_name.items():
            assert gap["max"] <= EXACT.of(name).max
    pinned = manifest.parity["onnxruntime_1.19.2"]
    assert (pinned == "not checked") != has_pinned_runtime


def test_true_lengths_are_recorded_and_those_of_unread_inputs_left_open(
    tmp_path: Path, images: list[Path], companions: dict[str, Any]
) -> None:
    source = checkpoint(tmp_path / "c.ckpt", mask_head("b0", 160, False), **companions)
    settings = Settings(check_pinned_runtime=False)
    version = export(source, images, settings, repository=tmp_path)
    tensors = tensors_of(version)
    assert tensors.inputs["roi_rgb"].shape == (3, *SMALL_ROI)
    assert tensors.inputs["roi_logit"].shape == (1, -1, -1)
    assert tensors.inputs["roi_features"].shape == (160, 32, 24)
    assert tensors.outputs["mask_logits"].shape == (3, 2 * SMALL_ROI[0], 2 * SMALL_ROI[1])
    assert reads_of(version) == ("roi_rgb", "roi_features")
