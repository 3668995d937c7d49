"""The configs that follow from others: on a GPU only the place differs."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2

from peopleseg.cli.main import main
from peopleseg.cli.render_configs_command import render
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config
from peopleseg.systems.configs import CUDA, PLAN, TENSORRT
from peopleseg.systems.known import NETWORKS
from peopleseg.systems.rendered import stale_files
from tests.data.small_repository import write_small_repository

GPU = model_config_pb2.ModelInstanceGroup.KIND_GPU


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = write_small_repository(tmp_path / "repository")
    render(made)
    return made


def config(repository: Path, network: str, variant: str | None = None) -> Any:
    folder = repository / network
    path = folder / "configs" / f"{variant}.pbtxt" if variant else folder / CONFIG_FILE
    return parse_config(path.read_text())


def test_the_committed_ones_are_as_they_are_rendered() -> None:
    assert stale_files(MODEL_REPOSITORY) == {}


def test_rendering_again_changes_nothing(repository: Path) -> None:
    assert render(repository) == []


@pytest.mark.parametrize("variant", [CUDA, TENSORRT, PLAN])
@pytest.mark.parametrize("network", ["yolov9", "people_unet", "hierarchical_head"])
def test_on_a_gpu_only_the_place_differs(repository: Path, network: str, variant: str) -> None:
    found, default = config(repository, network, variant), config(repository, network)
    assert {group.kind for group in found.instance_group} == {GPU}
    if variant == PLAN:
        assert (found.backend, found.default_model_filename) == ("tensorrt", "model.plan")
        found.backend, found.default_model_filename = "onnxruntime", "model.onnx"
    for one in (found, default):
        for field in ("instance_group", "parameters", "optimization"):
            one.ClearField(field)
        one.dynamic_batching.ClearField("preferred_batch_size")
    assert found == default


def test_tensorrts_provider_gets_the_lengths_of_what_serves(repository: Path) -> None:
    accelerators = config(repository, "hierarchical_head", TENSORRT).optimization
    (provider,) = accelerators.execution_accelerators.gpu_execution_accelerator
    assert provider.name == "tensorrt"
    for which, batch in (("min", 1), ("opt", 8), ("max", 64)):
        shapes = provider.parameters[f"trt_profile_{which}_shapes"].split(",")
        assert shapes[0] == f"roi_rgb:{batch}x3x64x48"
        names = [entry.partition(":")[0] for entry in shapes]
        assert names == [tensor.name for tensor in NETWORKS["hierarchical_head"].inputs]


def test_a_network_that_does_not_serve_has_none_for_the_provider(repository: Path) -> None:
    folder = repository / "feature_head" / "configs"
    assert sorted(path.stem for path in folder.iterdir()) == [CUDA, PLAN]


def test_the_versions_that_a_config_loads_stay(repository: Path) -> None:
    path = repository / "yolov9" / "configs" / "cuda.pbtxt"
    path.write_text(path.read_text().replace("versions: 1", "versions: 1 versions: 7", 1))
    assert render(repository) == []


def test_a_users_own_config_stays(repository: Path) -> None:
    mine = repository / "yolov9" / "configs" / "mine.pbtxt"
    shutil.copy(repository / "yolov9" / "configs" / "cuda.pbtxt", mine)
    assert render(repository) == [] and mine.is_file()


def test_a_step_without_config_gets_one(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = {name: config(repository, name) for name in ("preprocess", "people_unet")}
    for name in typed:
        (repository / name / CONFIG_FILE).unlink()
        shutil.rmtree(repository / name / "configs", ignore_errors=True)
    assert main(["render-configs", "--check", "--model-repository", str(repository)]) == 1
    assert "preprocess/config.pbtxt" in capsys.readouterr().out
    assert main(["render-configs", "--model-repository", str(repository)]) == 0
    for name, before in typed.items():
        found = config(repository, name)
        assert (found.name, found.backend) == (before.name, before.backend)
        assert list(found.input) == list(before.input)
        assert list(found.output) == list(before.output)
        assert found.max_batch_size == before.max_batch_size


def test_a_config_that_is_none_is_named(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "yolov9" / CONFIG_FILE
    for text in (b'colour: "red"', b"\xff\xfe"):
        path.write_bytes(text)
        assert main(["render-configs", "--model-repository", str(repository)]) == 1
        assert f"{path}: not a Triton model config" in capsys.readouterr().err
