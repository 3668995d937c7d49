"""The model repository's configs against the tensor contract and each other, without a server."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from peopleseg.contract import ENSEMBLES, MAX_PEOPLE, MODELS, STEPS, Model, Tensor
from peopleseg.manifest import Manifest
from peopleseg.people import MAX_IOU, MIN_SCORE

REPOSITORY = Path(__file__).parents[2] / "model_repository"
NETWORKS = ("yolov9", "people_unet", "hierarchical_head")
CONFIG_FILES = sorted(REPOSITORY.glob("*/config.pbtxt")) + sorted(
    REPOSITORY.glob("*/configs/*.pbtxt")
)


def parse(path: Path) -> Any:
    # Unknown fields are an error of text_format.
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def config(name: str) -> Any:
    return parse(REPOSITORY / name / "config.pbtxt")


def tensors_of(entries: Any) -> tuple[Tensor, ...]:
    dtype_name = model_config_pb2.DataType.Name
    dtypes = [dtype_name(entry.data_type).removeprefix("TYPE_") for entry in entries]
    return tuple(
        Tensor(entry.name, "BYTES" if dtype == "STRING" else dtype, tuple(entry.dims))
        for entry, dtype in zip(entries, dtypes, strict=True)
    )


def test_the_repository_holds_the_models_of_the_contract_and_no_others() -> None:
    assert {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")} == set(MODELS)


@pytest.mark.parametrize("path", CONFIG_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_config_says_what_the_contract_says(path: Path) -> None:
    name = path.relative_to(REPOSITORY).parts[0]
    found, model = parse(path), MODELS[name]
    assert found.name == name
    assert (
        Model(name, tensors_of(found.input), tensors_of(found.output), found.max_batch_size)
        == model
    )


@pytest.mark.parametrize("name", STEPS)
def test_every_step_keeps_all_versions_and_names_its_instances(name: str) -> None:
    found = config(name)
    assert found.version_policy.WhichOneof("policy_choice") == "all"
    assert found.backend == ("onnxruntime" if name in NETWORKS else "python")
    assert len(found.instance_group) > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_cuda_config_differs_in_its_instances_and_threads_alone(name: str) -> None:
    cpu, cuda = config(name), parse(REPOSITORY / name / "configs" / "cuda.pbtxt")
    group = model_config_pb2.ModelInstanceGroup
    assert [instance.kind for instance in cpu.instance_group] == [group.KIND_CPU]
    assert [instance.kind for instance in cuda.instance_group] == [group.KIND_GPU]
    for found in (cpu, cuda):
        del found.instance_group[:]
        found.parameters.clear()
    assert cpu == cuda


@pytest.mark.parametrize("name", STEPS)
def test_overload_is_shed_by_time_in_the_queue_and_never_by_its_length(name: str) -> None:
    found = config(name)
    policy = found.dynamic_batching.default_queue_policy
    assert policy.max_queue_size == 0
    if found.max_batch_size > 0:
        assert policy.default_timeout_microseconds > 0
        assert policy.timeout_action == policy.REJECT


def test_people_are_selected_as_in_one_process() -> None:
    parameters = config("select_people").parameters
    assert float(parameters["min_score"].string_value) == MIN_SCORE
    assert float(parameters["max_iou"].string_value) == MAX_IOU


def test_the_head_takes_as_many_people_as_the_contract_allows() -> None:
    assert config("hierarchical_head").max_batch_size == MAX_PEOPLE


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensemble_steps_are_pinned_to_versions_that_exist(name: str) -> None:
    for step in config(name).ensemble_scheduling.step:
        assert step.model_name in STEPS
        folder = REPOSITORY / step.model_name / str(step.model_version)
        assert any((folder / file).is_file() for file in ("model.onnx", "model.py")), folder


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensemble_version_folder_survives_git(name: str) -> None:
    assert (REPOSITORY / name / "1" / ".gitkeep").is_file()


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensemble_wires_every_tensor_to_one_of_the_same_type_and_shape(name: str) -> None:
    ensemble = MODELS[name]
    known = {tensor.name: tensor for tensor in ensemble.inputs}
    for step in config(name).ensemble_scheduling.step:
        model = STEPS[step.model_name]
        assert set(step.input_map) == {tensor.name for tensor in model.inputs}
        for tensor in model.outputs:
            if tensor.name in step.output_map:
                known[step.output_map[tensor.name]] = tensor
    for step in config(name).ensemble_scheduling.step:
        model = STEPS[step.model_name]
        for tensor in model.inputs:
            source = known[step.input_map[tensor.name]]
            assert source.dtype == tensor.dtype
            assert fits(source.shape, tensor.shape), (source, tensor)
    for tensor in ensemble.outputs:
        assert fits(known[tensor.name].shape, tensor.shape)


def fits(source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Equal shapes, but for a leading axis that a batching model leaves out."""
    longer, shorter = sorted((source, target), key=len, reverse=True)
    return longer == shorter or longer[1:] == shorter


@pytest.mark.parametrize("name", NETWORKS)
def test_every_artifact_is_the_one_of_its_manifest(name: str) -> None:
    folders = [path.parent for path in (REPOSITORY / name).glob("*/model.onnx")]
    assert folders
    for folder in folders:
        manifest = Manifest.read(folder)
        manifest.verify(folder)
        assert manifest.model == name


def test_the_default_weights_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in REPOSITORY.glob("*/1/model.onnx")) <= 45_000_000
