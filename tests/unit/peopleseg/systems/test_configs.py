"""The model repository's configs against the tensor contract and each other, without a server."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2

from peopleseg.repository.manifest import Manifest, StepManifest
from peopleseg.repository.settings import settings_faults
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.repository.triton_config import parse_config
from peopleseg.systems.known import MODELS, NETWORKS, STEPS
from peopleseg.systems.known import PYTHON_STEPS as STEP_CLASSES
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import pinned, served, serving_versions

REPOSITORY = Path(__file__).parents[4] / "model_repository"
PYTHON_STEPS = tuple(name for name in STEPS if name not in NETWORKS)
# What the settings of each step are arguments of.
CONFIG_FILES = sorted(REPOSITORY.glob("*/config.pbtxt")) + sorted(
    REPOSITORY.glob("*/configs/*.pbtxt")
)


def parse(path: Path) -> Any:
    # Unknown fields are an error of text_format.
    return parse_config(path.read_text())


def config(name: str) -> Any:
    return parse(REPOSITORY / name / "config.pbtxt")


def tensors_of(entries: Any) -> tuple[Tensor, ...]:
    dtype_name = model_config_pb2.DataType.Name
    dtypes = [dtype_name(entry.data_type).removeprefix("TYPE_") for entry in entries]
    return tuple(
        Tensor(
            entry.name,
            "BYTES" if dtype == "STRING" else dtype,
            tuple(entry.dims),
            getattr(entry, "optional", False),  # outputs have no such field
        )
        for entry, dtype in zip(entries, dtypes, strict=True)
    )


def test_the_repository_holds_the_models_of_the_contract_and_no_others() -> None:
    found = {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")}
    assert found <= set(MODELS) and set(STEPS) <= found


@pytest.mark.parametrize("path", CONFIG_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_config_says_what_the_contract_says(path: Path) -> None:
    name = path.relative_to(REPOSITORY).parts[0]
    found, model = parse(path), MODELS[name]
    assert found.name == name
    assert (
        Model(name, tensors_of(found.input), tensors_of(found.output), found.max_batch_size)
        == replace(model, made_of={})  # no config says it
    )


@pytest.mark.parametrize("name", STEPS)
def test_every_step_names_its_versions_and_instances(name: str) -> None:
    found = config(name)
    assert found.version_policy.WhichOneof("policy_choice") == "specific"
    assert found.backend == ("onnxruntime" if name in NETWORKS else "python")
    assert len(found.instance_group) > 0


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if (REPOSITORY / name / "configs" / "cuda.pbtxt").exists()]
)
def test_the_cuda_config_differs_in_its_instances_threads_and_batches_alone(name: str) -> None:
    cpu, cuda = config(name), parse(REPOSITORY / name / "configs" / "cuda.pbtxt")
    group = model_config_pb2.ModelInstanceGroup
    assert [instance.kind for instance in cpu.instance_group] == [group.KIND_CPU]
    assert [instance.kind for instance in cuda.instance_group] == [group.KIND_GPU]
    for found in (cpu, cuda):
        del found.instance_group[:]
        found.parameters.clear()
        del found.dynamic_batching.preferred_batch_size[:]
    assert cpu == cuda


@pytest.mark.parametrize("name", STEPS)
def test_overload_is_shed_by_time_in_the_queue_and_never_by_its_length(name: str) -> None:
    found = config(name)
    policy = found.dynamic_batching.default_queue_policy
    assert policy.max_queue_size == 0
    if found.max_batch_size > 0:
        assert policy.default_timeout_microseconds > 0
        assert policy.timeout_action == policy.REJECT


@pytest.mark.parametrize("name", PYTHON_STEPS)
def test_the_settings_of_a_step_are_all_that_there_are_and_of_use(name: str) -> None:
    for manifest in (REPOSITORY / name).glob("*/manifest.json"):
        settings = StepManifest.read(manifest.parent).settings
        assert set(settings) == set(STEP_CLASSES[name].settings), manifest
        assert settings_faults(name, STEP_CLASSES[name].settings, settings) == [], manifest


def test_the_heads_take_as_many_people_as_the_contract_allows() -> None:
    for name in ("hierarchical_head", "feature_head"):
        assert config(name).max_batch_size == MAX_PEOPLE


@pytest.mark.parametrize("name", served(REPOSITORY, [PEOPLE]))
def test_ensemble_steps_are_pinned_to_versions_that_exist_and_are_loaded(name: str) -> None:
    for step, version in pinned(config(name)).items():
        folder = REPOSITORY / step / str(version)
        assert any((folder / file).is_file() for file in ("model.onnx", "model.py")), folder
        assert version in config(step).version_policy.specific.versions


@pytest.mark.parametrize("name", served(REPOSITORY, [PEOPLE]))
def test_ensemble_version_folder_survives_git(name: str) -> None:
    assert list((REPOSITORY / name / "1").iterdir())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_artifact_is_the_one_of_its_manifest(name: str) -> None:
    folders = [path.parent for path in (REPOSITORY / name).glob("*/model.onnx")]
    assert folders or name not in serving_versions(REPOSITORY, PEOPLE)
    for folder in folders:
        manifest = Manifest.read(folder)
        manifest.verify(folder)
        assert manifest.model == name


@pytest.mark.parametrize("name", PYTHON_STEPS)
def test_every_step_is_the_one_of_its_manifest(name: str) -> None:
    folders = [path.parent for path in (REPOSITORY / name).glob("*/model.py")]
    assert folders
    for folder in folders:
        manifest = StepManifest.read(folder)
        manifest.verify(folder)
        assert manifest.model == name


def test_the_default_weights_together_stay_small() -> None:
    versions = serving_versions(REPOSITORY, PEOPLE)
    folders = [REPOSITORY / name / str(versions[name]) for name in NETWORKS if name in versions]
    sizes = [(folder / "model.onnx").stat().st_size for folder in folders]
    assert 0 < sum(sizes) <= 45_000_000
