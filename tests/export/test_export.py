"""Export computes what torch computes, and leaves a whole version folder or nothing."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from conversion import export as exporting
from conversion import onnx_export
from conversion.onnx_export import MAX_IR_VERSION, OPSET
from conversion.parity import TOLERANCE_LOGITS, ParityError
from peopleseg.contract import FEATURE_CHANNELS
from peopleseg.manifest import ArtifactError, Manifest
from peopleseg.networks.hierarchical import PersonMaskHead
from peopleseg.networks.people_unet import PeopleUNet
from peopleseg.networks.yolov9 import YOLOv9
from tests.data.encoded import some_pictures
from training.checkpoint import CheckpointError, save_network

NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "yolov9": (YOLOv9, {"variant": "t", "classes": 1}),
    "people_unet": (PeopleUNet, {"variant": "b0", "shrink": 2}),
    "hierarchical_head": (
        PersonMaskHead,
        {"variant": "b0", "feature_channels": FEATURE_CHANNELS},
    ),
}
SERVED = Path(exporting.REPOSITORY)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for index, picture in enumerate(some_pictures(4)):
        paths.append(folder / f"{index}.jpg")
        paths[-1].write_bytes(picture)
    return paths


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository but for the networks that the head's inputs come from."""
    for name in ("yolov9", "people_unet"):
        shutil.copytree(SERVED / name / "1", tmp_path / "repository" / name / "1")
    return tmp_path / "repository"


def checkpoint(folder: Path, name: str) -> Path:
    """A checkpoint with random weights, and norms that are no identity."""
    torch.manual_seed(0)
    build, dims = NETWORKS[name]
    network = build(**dims)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    path = folder / f"{name}.ckpt"
    save_network(path, name, network, dims=dims, metrics={"some_miou": 0.5})
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_is_whole_and_described(
    name: str, tmp_path: Path, repository: Path, pictures: list[Path]
) -> None:
    version = exporting.export(name, checkpoint(tmp_path, name), pictures, repository=repository)
    manifest = Manifest.read(version)
    manifest.verify(version)
    assert manifest.accuracy == {"some_miou": 0.5}
    assert manifest.variant == NETWORKS[name][1]
    graph = onnx.load(version / manifest.artifact)
    assert graph.ir_version == manifest.ir_version <= MAX_IR_VERSION
    assert graph.opset_import[0].version == OPSET
    assert [path.name for path in (repository / name).iterdir() if path.name.startswith(".")] == []
    for gap in manifest.parity["fp32_against_torch"].values():
        assert gap["max"] <= max(TOLERANCE_LOGITS, *exporting.TOLERANCES.values())


def test_each_export_is_the_next_version(
    tmp_path: Path, repository: Path, pictures: list[Path]
) -> None:
    source = checkpoint(tmp_path, "people_unet")
    version = exporting.export("people_unet", source, pictures[:1], repository=repository)
    assert version.name == "2"


def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, repository: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_export = onnx_export.export_onnx

    def export_another(module: nn.Module, *arguments: Any) -> None:
        with torch.no_grad():
            module.network.unet.segmentation_head[0].bias += 0.01  # type: ignore[union-attr, index, operator]
            real_export(module, *arguments)
            module.network.unet.segmentation_head[0].bias -= 0.01  # type: ignore[union-attr, index, operator]

    monkeypatch.setattr(exporting, "export_onnx", export_another)
    before = sorted(repository.rglob("*"))
    with pytest.raises(ParityError, match="person_logit differs from torch by 0.01"):
        exporting.export(
            "people_unet", checkpoint(tmp_path, "people_unet"), pictures[:2], repository=repository
        )
    assert sorted(repository.rglob("*")) == before


def test_an_artifact_that_was_changed_is_noticed(repository: Path) -> None:
    folder = repository / "yolov9" / "1"
    artifact = folder / "model.onnx"
    artifact.write_bytes(artifact.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="sha256"):
        Manifest.read(folder).verify(folder)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a people_unet, not a yolov9"):
        exporting.export("yolov9", checkpoint(tmp_path, "people_unet"), [])


def test_an_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'yolo9' is not one of yolov9"):
        exporting.export("yolo9", tmp_path / "none.pt", [])
