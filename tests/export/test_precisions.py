"""FP16 and INT8: the same inputs and outputs, close enough, and smaller; layers that hurt stay."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from conversion.export import description, int8
from conversion.export.accuracy import Accuracy
from conversion.export.exporter import export
from conversion.export.families import FAMILIES
from conversion.export.fp16 import to_fp16
from conversion.export.inputs import ImageInputs, random_cases
from conversion.export.int8 import AccuracyError, Quantiser, blocks, quantise
from conversion.export.onnx_export import decoding_nodes, export_onnx, halve_weights
from conversion.export.precision import convert
from conversion.export.runners import onnx_runner
from conversion.export.settings import ExportError, Settings
from conversion.people.exportable import of_detector, of_mask_head, of_people_unet
from conversion.people.inputs import RoiInputs, RoiReader
from peopleseg.labels.coco import load_images
from peopleseg.networks.checkpoint import Loaded
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.known import STEPS
from peopleseg.systems.step import Arrays
from tests.data.people_images import data_set
from tests.export.networks import checkpoint, detector, mask_head, people_unet


class Layers(nn.Module):
    """Three convolutions as a people UNet; the output of the named one does not fit INT8."""

    def __init__(self, harmful: str = "") -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 4, padding=1)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 16, 3, padding=1)
        if harmful:  # one channel is so large that INT8 has nothing left for the others
            with torch.no_grad():
                getattr(self, harmful).bias[0] = 3000

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.float() / 255
        for layer in (self.first, self.middle, self.last):
            x = layer(x).clamp(-1, 1)
        return nn.functional.interpolate(x[:, 1:].sum(dim=1, keepdim=True), scale_factor=4.0)


def written(folder: Path, network: nn.Module) -> Path:
    torch.manual_seed(0)
    export_onnx(network.eval(), STEPS["people_unet"], folder / "full.onnx")
    return folder / "full.onnx"


def small_pixels(count: int) -> list[Arrays]:
    random = np.random.default_rng(0)
    return [
        {"pixels": random.integers(0, 256, (1, 3, 640, 640), dtype=np.uint8)} for _ in range(count)
    ]


def closeness(exact: Path, inputs: Arrays) -> Accuracy:
    """1 for the same logits, less by their mean difference."""
    expected = onnx_runner(exact)(inputs)["person_logit"]

    def measure(run: Callable[[Arrays], Arrays]) -> float:
        return 1 - float(np.abs(run(inputs)["person_logit"] - expected).mean())

    return Accuracy("closeness", measure)


NETWORKS: dict[str, Callable[[], Any]] = {
    "yolov9": lambda: of_detector(detector("t")),
    "people_unet": lambda: of_people_unet(people_unet("b0")),
    "hierarchical_head": lambda: of_mask_head(mask_head("lite", 160, judges_presence=True)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_fp16_computes_in_fp16_between_the_same_inputs_and_outputs(
    name: str, tmp_path: Path
) -> None:
    exportable = NETWORKS[name]()
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    export_onnx(exportable.module, exportable.model, full, exportable.input_shapes)
    to_fp16(full, half)
    assert half.stat().st_size < 0.6 * full.stat().st_size
    before, after = onnx.load(full).graph, onnx.load(half).graph
    assert before.input == after.input
    assert before.output == after.output
    stored = {tensor.name: tensor.data_type for tensor in after.initializer}
    weights = [
        stored[node.input[1]] for node in after.node if node.op_type in ("Conv", "ConvTranspose")
    ]
    assert weights
    assert set(weights) == {TensorProto.FLOAT16}
    for case in random_cases(exportable, (1, 2)):
        expected, found = (onnx_runner(path)(case.inputs) for path in (full, half))
        for output, values in expected.items():
            gap = np.abs(found[output].astype(float) - values)
            assert 0 < gap.mean() < 0.02 * np.abs(values).mean()


def test_boxes_are_decoded_in_fp32(tmp_path: Path) -> None:
    exportable = of_detector(detector("t"))
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    export_onnx(exportable.module, exportable.model, full)
    to_fp16(full, half)
    decoding = decoding_nodes(onnx.load(full).graph)
    graph = onnx.shape_inference.infer_shapes(onnx.load(half)).graph
    halves = {
        v.name for v in graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    found = [node for node in graph.node if node.name in decoding]
    assert {"Softmax", "Sigmoid"} <= {node.op_type for node in found}
    assert halves
    assert not any(halves & {*node.input, *node.output} for node in found)


@pytest.mark.parametrize("convert", [halve_weights, to_fp16])
def test_weights_beyond_fp16_are_refused_by_name(
    convert: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    network = Layers()
    with torch.no_grad():
        network.middle.weight[0, 0] = 1e5
    with pytest.raises(ExportError, match=r"weights .*middle.* reach 100000, beyond FP16"):
        convert(written(tmp_path, network), tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_manifest_says_what_was_made(
    precision: str, tmp_path: Path, images: list[Path]
) -> None:
    source = checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=8))
    settings = Settings(precision=precision, stored="fp32", check_pinned_runtime=False)
    version = export(source, images, settings, repository=tmp_path)
    manifest = Manifest.read(version)
    assert (manifest.precision, manifest.weights) == (precision, precision)
    assert manifest.accelerator == "cpu"
    assert manifest.parity["providers"] == ["CPUExecutionProvider"]
    weights = {t.data_type for t in onnx.load(version / "model.onnx").graph.initializer}
    expected = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    assert expected in weights
    assert TensorProto.FLOAT16 not in weights or precision == "fp16"
    if precision == "fp32":  # nothing is rounded: the artifact itself is exact
        for by_name in manifest.parity["artifact_against_torch"].values():
            assert by_name["person_logit"]["max"] < 1e-3


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        (Settings(), "fp16"),
        (Settings(stored="fp32"), "fp32"),
        (Settings(precision="fp16"), "fp16"),
        (Settings(accelerator="tensorrt"), "fp32"),
        (Settings(precision="fp16", accelerator="tensorrt"), "fp16"),
    ],
)
def test_the_weights_are_said_to_be_stored_as_they_are(
    settings: Settings, weights: str, tmp_path: Path
) -> None:
    job: Any = SimpleNamespace(settings=settings)
    full = written(tmp_path, Layers())
    assert convert(full, tmp_path / "model.onnx", job).weights == weights
    stored = {t.data_type for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    if settings.accelerator == "cpu":
        assert (TensorProto.FLOAT16 in stored) == (weights == "fp16")


def test_the_tools_are_named_also_where_onnx_runtimes_package_is_that_for_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(package: str) -> str:
        if package == "onnxruntime":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(description, "version", version)
    assert description.tools()["onnxruntime"] == onnxruntime.__version__


def test_blocks_are_the_modules_that_have_convolutions(tmp_path: Path) -> None:
    graph = onnx.load(written(tmp_path, Layers())).graph
    found = blocks(graph)
    assert set(found) == {"first/Conv", "middle/Conv", "last/Conv"}


def test_no_node_that_decodes_boxes_is_quantised(tmp_path: Path) -> None:
    exportable = of_detector(detector("t"))
    export_onnx(exportable.module, exportable.model, tmp_path / "full.onnx")
    found = blocks(onnx.load(tmp_path / "full.onnx").graph)
    assert len(found) >= int8.FEWEST_BLOCKS
    assert all("/cv" in name for name in found["network/layers.22"])


def test_weights_are_quantised_by_channel(tmp_path: Path) -> None:
    quantiser = Quantiser(written(tmp_path, Layers()), small_pixels(2), signed=False)
    quantiser.write(tmp_path / "int8.onnx", list(quantiser.blocks))
    graph = onnx.load(tmp_path / "int8.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name: values for name, values in stored.items() if values.ndim == 4}
    assert {values.dtype for values in weights.values()} == {np.dtype(np.int8)}
    scales = [stored[f"{name.removesuffix('_quantized')}_scale"] for name in weights]
    assert {scale.shape for scale in scales} == {(16,)}


@pytest.mark.parametrize(("signed", "dtype"), [(False, np.uint8), (True, np.int8)])
def test_activations_are_of_the_type_that_runs_fast(
    signed: bool, dtype: type, tmp_path: Path
) -> None:
    quantiser = Quantiser(written(tmp_path, Layers()), small_pixels(2), signed=signed)
    quantiser.write(tmp_path / "int8.onnx", list(quantiser.blocks))
    graph = onnx.load(tmp_path / "int8.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [stored[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(dtype)}
    assert not signed or all(zero == 0 for zero in zeros)


def test_a_network_that_bears_it_is_quantised_whole(tmp_path: Path) -> None:
    full, target = written(tmp_path, Layers()), tmp_path / "int8.onnx"
    inputs = small_pixels(2)
    found = quantise(full, target, inputs, closeness(full, inputs[0]), signed=False, most_loss=0.01)
    assert found.float_blocks == []
    assert found.before == 1
    assert 0.99 < found.after < 1


@pytest.mark.parametrize("harmful", ["first", "middle", "last"])
def test_the_layer_that_hurts_stays_in_float(harmful: str, tmp_path: Path) -> None:
    full, target = written(tmp_path, Layers(harmful)), tmp_path / "int8.onnx"
    inputs = small_pixels(2)
    found = quantise(full, target, inputs, closeness(full, inputs[0]), signed=False, most_loss=0.01)
    assert f"{harmful}/Conv" == max(found.damage, key=found.damage.__getitem__)
    assert f"{harmful}/Conv" in found.float_blocks
    assert len(found.float_blocks) < 3
    assert found.after >= found.before - found.allowed_loss


def test_a_layer_that_spoils_the_outputs_stays_in_float_though_the_metric_bears_it(
    tmp_path: Path,
) -> None:
    full, target = written(tmp_path, Layers("middle")), tmp_path / "int8.onnx"
    found = quantise(
        full,
        target,
        small_pixels(2),
        Accuracy("roi_miou", lambda run: 0.8),
        signed=False,
        most_loss=0.01,
    )
    assert "middle/Conv" in found.float_blocks and len(found.float_blocks) < 3


def test_an_encoder_with_uneven_padding_keeps_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "full.onnx"
    export_onnx(of_people_unet(people_unet("lite0")).module, STEPS["people_unet"], path)
    quantiser = Quantiser(path, small_pixels(1), signed=False)
    quantiser.write(tmp_path / "int8.onnx", quantiser.blocks)
    found = onnx_runner(tmp_path / "int8.onnx")(small_pixels(1)[0])["person_logit"]
    assert found.shape == (1, 1, 640, 640)


def test_an_int8_network_that_is_too_bad_is_refused(tmp_path: Path) -> None:
    full = written(tmp_path, Layers())
    exact = iter([0.8])  # the unquantised one is measured first
    accuracy = Accuracy("roi_miou", lambda run: next(exact, 0.78))
    with pytest.raises(AccuracyError, match=r"roi_miou \(0\.8000\).*\(0\.7800\)"):
        quantise(
            full, tmp_path / "int8.onnx", small_pixels(1), accuracy, signed=False, most_loss=0.01
        )


def test_int8_is_exported_with_its_gate(tmp_path: Path, images: list[Path]) -> None:
    people, annotations = data_set(tmp_path / "data")
    source = checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=8))
    settings = Settings(
        precision="int8",
        images=people,
        annotations=annotations,
        limit=3,
        check_pinned_runtime=False,
    )
    version = export(source, images, settings, repository=tmp_path / "repository")
    manifest = Manifest.read(version)
    gate = manifest.accuracy_gate
    assert manifest.precision == manifest.weights == "int8"
    assert gate["metric"] == "foreground_miou"
    assert gate["after"] >= gate["before"] - gate["allowed_loss"]
    assert gate["images"] == 3
    assert gate["calibrated_on"] == len(images)
    assert set(gate["float_blocks"]) < set(gate["damage"])
    operators = {node.op_type for node in onnx.load(version / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_the_metric_of_each_family_is_that_of_the_evaluation(
    tmp_path: Path, companions: dict[str, Any]
) -> None:
    images, annotations = data_set(tmp_path / "data")
    annotated = load_images(annotations, images)[:4]
    head = of_mask_head(mask_head("b0", 160))
    loaded = Loaded("hierarchical_head", {}, head.module, {}, companions)
    rois = RoiInputs(head, RoiReader(loaded, head, tmp_path))
    exportables = (of_detector(detector("t")), of_people_unet(people_unet("b0", 8)), head)
    for exportable, metric in zip(
        exportables, ("box_ap50", "foreground_miou", "roi_miou"), strict=True
    ):
        path = tmp_path / "full.onnx"
        export_onnx(exportable.module, exportable.model, path, exportable.input_shapes)
        inputs = rois if exportable is head else ImageInputs()
        accuracy = FAMILIES[exportable.model.name].accuracy(exportable, annotated, inputs)
        assert accuracy.metric == metric
        once, again = (accuracy.measure(onnx_runner(path)) for _ in range(2))
        assert 0 <= once == again <= 1


def test_a_whole_persons_mask_scores_one_and_none_zero(
    tmp_path: Path, companions: dict[str, Any]
) -> None:
    images, annotations = data_set(tmp_path / "data")
    annotated = load_images(annotations, images)[:4]
    head = of_mask_head(mask_head("b0", 160))
    loaded = Loaded("hierarchical_head", {}, head.module, {}, companions)
    inputs = RoiInputs(head, RoiReader(loaded, head, tmp_path))
    accuracy = FAMILIES[head.model.name].accuracy(head, annotated, inputs)

    def all_of(label: int) -> Callable[[Arrays], Arrays]:
        def run(inputs: Arrays) -> Arrays:
            logits = np.zeros((len(inputs["roi_rgb"]), 3, 32, 24), np.float32)
            logits[:, label] = 9
            return {"mask_logits": logits}

        return run

    assert accuracy.measure(all_of(0)) == 0
    assert 0.3 < accuracy.measure(all_of(1)) < 0.9  # of a box, a person covers about half
