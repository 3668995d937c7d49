"""TensorRT: profiles, configs, what the builder is asked for, and what is said without a GPU."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conversion.export import engine, version
from conversion.export.exporter import export
from conversion.export.onnx_export import export_onnx
from conversion.export.runners import onnx_runner
from conversion.export.settings import ExportError, MissingRequirement, Settings
from conversion.people.exportable import of_feature_head, of_mask_head, of_people_unet
from peopleseg.cli.main import main
from peopleseg.repository.manifest import WEIGHTS, Manifest
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.systems.configs import profiles
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.contract import MAX_PEOPLE
from tests.export import fake_tensorrt
from tests.export.networks import checkpoint, detector, feature_head, mask_head, people_unet

NETWORKS = ("yolov9", "people_unet", "hierarchical_head", "feature_head")
GPU = {"gpu": "NVIDIA H200", "compute_capability": "9.0", "tensorrt": "10.5.0"}


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    fake_tensorrt.reset()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    monkeypatch.setattr(engine, "hardware", lambda: GPU)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield fake_tensorrt


def parsed(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def config(name: str, accelerator: str) -> Any:
    return parsed((MODEL_REPOSITORY / name / "configs" / f"{accelerator}.pbtxt").read_text())


def test_a_profile_has_the_contracts_batches_and_the_networks_lengths() -> None:
    head = of_mask_head(mask_head("b0", 160, roi_size_hw=(64, 48)))
    found = profiles(head.model, head.input_shapes)
    assert found["roi_features"].smallest == (1, 160, 32, 24)
    assert found["roi_rgb"].usual == (8, 3, 64, 48)
    assert found["roi_rgb"].largest == (MAX_PEOPLE, 3, 64, 48)


def test_what_a_head_does_not_read_has_one_cell() -> None:
    head = of_mask_head(mask_head("b0", 0, False, (64, 48)))
    found = profiles(head.model, head.input_shapes)
    assert found["roi_features"].largest == (MAX_PEOPLE, 1, 1, 1)
    assert found["roi_logit"].largest == (MAX_PEOPLE, 1, 1, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_profiles_grow_from_the_smallest_to_the_largest_batch(name: str) -> None:
    shapes = {tensor.name: tensor.shape for tensor in STEPS[name].inputs}
    for smallest, usual, largest in profiles(STEPS[name], shapes).values():
        assert 1 == smallest[0] < usual[0] < largest[0] == STEPS[name].max_batch_size
        assert smallest[1:] == usual[1:] == largest[1:]
        assert min(smallest) >= 1


def graph(folder: Path) -> Path:
    unet = of_people_unet(people_unet("b0", shrink=16))
    export_onnx(unet.module, unet.model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", set()), ("fp16", {"FP16"}), ("int8", {"INT8", "FP16"})]
)
def test_the_builder_is_asked_for_precision_profile_and_timing_cache(
    precision: str, flags: set[str], tensorrt: Any, tmp_path: Path
) -> None:
    chosen = profiles(STEPS["people_unet"], {"pixels": (3, 640, 640)})
    cache = tmp_path / "cache" / "timing"
    for known in (b"", b"+measured"):
        found = engine.build(
            graph(tmp_path),
            tmp_path / "model.plan",
            chosen,
            precision=precision,
            timing_cache=cache,
        )
        assert tensorrt.asked["config"].cache.content == known
    assert found == GPU
    assert (tmp_path / "model.plan").read_bytes() == b"engine"
    assert {flag.name for flag in tensorrt.asked["config"].flags} == flags
    assert tensorrt.asked["profile"] == {"pixels": tuple(chosen["pixels"])}
    assert tensorrt.asked["inputs"] == ["pixels"]


@pytest.mark.parametrize(
    ("failure", "message"), [("parse", "cannot read model.onnx: planted"), ("build", "no engine")]
)
def test_what_tensorrt_refuses_is_refused(
    failure: str, message: str, tensorrt: Any, tmp_path: Path
) -> None:
    tensorrt.reset(failure)
    with pytest.raises(ExportError, match=message):
        engine.build(
            graph(tmp_path), tmp_path / "p", {}, precision="fp32", timing_cache=tmp_path / "t"
        )
    assert not (tmp_path / "p").exists()


@pytest.mark.usefixtures("tensorrt")
def test_an_engines_manifest_says_what_it_runs_on(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_as_the_graph(path: Path) -> Any:
        return onnx_runner(path.with_name("model.onnx"))

    monkeypatch.setattr(engine, "engine_runner", runs_as_the_graph)
    source = checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=16))
    settings = Settings(precision="fp16", accelerator="tensorrt", check_pinned_runtime=False)
    folder = export(source, images, settings, repository=tmp_path)
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    files = {"model.plan", WEIGHTS, "manifest.json"}
    assert {path.name for path in folder.iterdir()} == files
    assert manifest.hardware == GPU
    assert (manifest.accelerator, manifest.precision) == ("tensorrt", "fp16")
    assert manifest.tensors["inputs"]["pixels"] == {"dtype": "UINT8", "shape": [3, 640, 640]}
    assert "engine_against_torch" in manifest.parity


def test_without_tensorrt_one_sentence_says_where_to_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # as if not installed
    source = checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=16))
    arguments = [str(source), "--accelerator", "tensorrt", "--model-repository", str(tmp_path)]
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the Python package tensorrt, which is missing; run the export inside" in line
    assert not (tmp_path / "people_unet").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.usefixtures("tensorrt")
def test_without_a_gpu_one_sentence_says_so() -> None:
    with pytest.raises(MissingRequirement, match="torch finds none; run the export inside"):
        engine.require()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("make", [lambda: detector("t"), lambda: people_unet("b0")])
def test_an_engine_computes_what_torch_computes(
    make: Any, precision: str, tmp_path: Path, images: list[Path]
) -> None:
    try:
        engine.require()
    except MissingRequirement as missing:
        pytest.skip(str(missing))
    source = checkpoint(tmp_path / "c.ckpt", make())
    settings = Settings(precision=precision, accelerator="tensorrt", check_pinned_runtime=False)
    folder = export(source, images, settings, repository=tmp_path)
    assert Manifest.read(folder).hardware == engine.hardware()
    assert (folder / version.PLAN).stat().st_size > 0


@pytest.mark.parametrize(
    "make",
    [lambda: of_mask_head(mask_head("b0", 160)), lambda: of_feature_head(feature_head(160))],
)
def test_open_channels_are_known_to_each_convolution(make: Any, tmp_path: Path) -> None:
    """TensorRT builds no convolution of channels that it learns at run time."""
    exportable, path = make(), tmp_path / "model.onnx"
    export_onnx(exportable.module, exportable.model, path, exportable.input_shapes)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    values = (*inferred.value_info, *inferred.input)
    lengths = {value.name: value.type.tensor_type.shape.dim for value in values}
    assert not lengths["roi_features"][1].HasField("dim_value")
    convolutions = [node for node in inferred.node if node.op_type == "Conv"]
    assert convolutions
    assert all(lengths[node.input[0]][1].dim_value > 0 for node in convolutions)
