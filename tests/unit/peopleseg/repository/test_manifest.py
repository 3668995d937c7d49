"""Manifests: written whole, read back, and never content with another file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from peopleseg.repository.manifest import (
    FILE_NAME,
    WEIGHTS,
    ArtifactError,
    Manifest,
    StepManifest,
    Tensors,
    read_manifest,
    reads_of,
    sha256,
    tensors_of,
)
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions

REPOSITORY = Path(__file__).parents[4] / "model_repository"
NEWER_FIELDS = ("tensors", "reads", "accelerator", "hardware", "accuracy_gate")


def network_manifest(artifact: Path) -> Manifest:
    return Manifest(
        model="head",
        artifact=artifact.name,
        sha256=sha256(artifact),
        bytes=artifact.stat().st_size,
        variant={"variant": "b0"},
        precision="fp32",
        weights="fp32",
        opset=17,
        ir_version=10,
        checkpoint_sha256="0" * 64,
        commit="f" * 40,
        tools={"onnx": "1"},
        parity={},
        accuracy={"roi_miou": 0.5},
        accuracy_data="none",
        data_licence="none",
    )


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A version whose graph computes with `a` and, in a branch, with `b`, but not with `unused`."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["b"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [
            helper.make_node("If", ["yes"], ["from_b"], then_branch=branch, else_branch=branch),
            helper.make_node("Add", ["a", "from_b"], ["sum"]),
            helper.make_node("Identity", ["unused"], ["unread"]),
        ],
        "adds",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", 2, "width"]),
            helper.make_tensor_value_info("unused", TensorProto.FLOAT16, ["batch", 3]),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, ["batch", 2, "width"]),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", 2, "width"])],
        [numpy_helper.from_array(np.array(True), "yes")],
    )
    artifact = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), artifact)
    network_manifest(artifact).write(tmp_path)
    return tmp_path


@pytest.fixture
def step(tmp_path: Path) -> Path:
    artifact = tmp_path / "model.py"
    artifact.write_text("class TritonPythonModel: ...\n")
    StepManifest("roi_align", sha256(artifact), {"threads": 1}, "f" * 40).write(tmp_path)
    return tmp_path


def test_a_manifest_reads_back_as_it_was_written(network: Path) -> None:
    written = replace(Manifest.read(network), reads=["a"], hardware={"gpu": "H200"})
    written.write(network)
    assert read_manifest(network) == written


def test_a_python_step_has_settings_and_is_told_apart_from_a_network(step: Path) -> None:
    found = read_manifest(step)
    assert isinstance(found, StepManifest)
    assert found.settings == {"threads": 1}
    found.verify(step)
    with pytest.raises(ArtifactError, match="a Python step, not of a network"):
        Manifest.read(step)


def test_manifests_of_before_these_fields_still_read(network: Path) -> None:
    old = {k: v for k, v in asdict(Manifest.read(network)).items() if k not in NEWER_FIELDS}
    (network / FILE_NAME).write_text(json.dumps(old))
    assert Manifest.read(network).accelerator == "cpu"


@pytest.mark.parametrize("name", ["yolov9", "people_unet", "hierarchical_head"])
def test_the_committed_networks_are_those_of_their_manifests(name: str) -> None:
    folder = REPOSITORY / name / str(serving_versions(REPOSITORY, PEOPLE)[name])
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    assert manifest.model == name


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"model": "head"}', '{"settings": {}, "model": "head"}', "\xff"]
)
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError, match="manifest.json is not a manifest"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        read_manifest(tmp_path)


def test_an_unknown_field_is_refused(step: Path) -> None:
    path = step / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"setings": {}}))
    with pytest.raises(ArtifactError, match="setings"):
        read_manifest(step)


def test_one_changed_byte_of_an_artifact_is_found(network: Path) -> None:
    manifest, artifact = Manifest.read(network), network / "model.onnx"
    manifest.verify(network)
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.write_bytes(data)
    with pytest.raises(ArtifactError, match="model.onnx has sha256"):
        manifest.verify(network)


def test_a_changed_and_a_missing_file_of_weights_are_found(network: Path) -> None:
    weights = network / WEIGHTS
    weights.write_bytes(b"weights")
    manifest = replace(Manifest.read(network), weights_sha256=sha256(weights))
    manifest.verify(network)
    weights.write_bytes(b"Weights")
    with pytest.raises(ArtifactError, match=f"{WEIGHTS} has sha256"):
        manifest.verify(network)
    weights.unlink()
    with pytest.raises(ArtifactError, match=f"{WEIGHTS} is missing"):
        manifest.verify(network)


def test_a_missing_artifact_is_found(step: Path) -> None:
    (step / "model.py").unlink()
    with pytest.raises(ArtifactError, match="model.py is missing"):
        read_manifest(step).verify(step)


def test_a_write_that_fails_leaves_the_manifest_as_it_was(
    step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (step / FILE_NAME).read_bytes()

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        StepManifest("roi_align", "0" * 64, {}, "").write(step)
    assert (step / FILE_NAME).read_bytes() == before
    assert sorted(path.name for path in step.iterdir()) == [FILE_NAME, "model.py"]


def test_the_tensors_of_a_graph_leave_out_the_batch_and_lengths_that_vary(network: Path) -> None:
    found = tensors_of(network)
    assert list(found.inputs) == ["a", "unused", "b"]
    assert found.inputs["unused"] == Tensor("unused", "FP16", (3,))
    assert found.outputs == {"sum": Tensor("sum", "FP32", (2, -1))}


def test_a_graph_reads_what_its_outputs_depend_on_also_in_branches(network: Path) -> None:
    assert reads_of(network) == ("a", "b")


def test_what_the_manifest_records_is_taken_before_the_graph(network: Path) -> None:
    recorded = {
        "inputs": {"a": {"dtype": "FP32", "shape": [2, 5]}},
        "outputs": {"sum": {"dtype": "FP32", "shape": [2, 5]}},
    }
    replace(Manifest.read(network), tensors=recorded, reads=["a"]).write(network)
    assert tensors_of(network) == Tensors(
        {"a": Tensor("a", "FP32", (2, 5))}, {"sum": Tensor("sum", "FP32", (2, 5))}
    )
    assert reads_of(network) == ("a",)


def test_tensors_that_are_recorded_in_another_way_are_named(network: Path) -> None:
    replace(Manifest.read(network), tensors={"inputs": {"a": {}}}).write(network)
    with pytest.raises(ArtifactError, match="manifest.json has tensors that cannot be read"):
        tensors_of(network)


def test_a_broken_graph_is_named(network: Path) -> None:
    (network / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match="model.onnx is not an ONNX model"):
        reads_of(network)
