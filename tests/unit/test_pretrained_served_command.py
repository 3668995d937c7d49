"""`peopleseg import-served`: the default models become checkpoints that compute the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network
from peopleseg.pixels.images import prepare
from peopleseg.repository.manifest import Manifest
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.pipeline import open_on_processors
from peopleseg.systems.wiring import serving_versions
from tests.data.encoded import some_pictures

NETWORKS = ("people_unet", "yolov9", "hierarchical_head")


def trained_here(model: Path) -> Path:
    """The newest version folder of a model that was trained here and computes in float."""
    for version in sorted(versions_in(model), reverse=True):
        manifest = Manifest.read(model / str(version))
        if manifest.precision == "fp32" and "decoder" not in manifest.variant:
            return model / str(version)
    raise AssertionError(f"{model} has no such version")


@pytest.fixture(scope="module")
def served(root: Path) -> dict[str, Path]:
    """A version folder of each network."""
    return {name: trained_here(root / "model_repository" / name) for name in NETWORKS}


def detector_of(head: Path) -> Path | None:
    """The published detector that serves beside a head, where one does."""
    repository = head.parents[1]
    versions = serving_versions(repository, PEOPLE)
    detector = repository / "yolov9" / str(versions["yolov9"])
    served = versions["hierarchical_head"] == int(head.name)
    return detector if served and "decoder" in Manifest.read(detector).variant else None


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index, picture in enumerate(some_pictures(4)):
        (folder / f"{index}.jpg").write_bytes(picture)
    return folder


@pytest.fixture(scope="module")
def checkpoints(
    images: Path, served: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All three networks as checkpoints."""
    out = tmp_path_factory.mktemp("checkpoints")
    companions: list[str] = []
    for name, version in served.items():
        command = ["import-served", str(version)]
        if name == "hierarchical_head":
            detector = detector_of(version) or out / "yolov9"
            companions = [f"--people-unet={out / 'people_unet'}", f"--detector={detector}"]
        assert main([*command, f"--images={images}", f"--out={out / name}", *companions]) == 0
    return out


@pytest.mark.parametrize(("name", "output"), [("people_unet", 0), ("yolov9", 1)])
def test_a_network_computes_what_is_served(
    name: str, output: int, checkpoints: Path, images: Path, served: dict[str, Path]
) -> None:
    pixels, _ = prepare((images / "0.jpg").read_bytes())
    artifact = open_on_processors(served[name] / "model.onnx", threads=2)
    expected = list(artifact(pixels=pixels).values())[output]
    with torch.no_grad():
        found = load_network(checkpoints / name).network(torch.from_numpy(pixels).float() / 255)
    found = found if isinstance(found, torch.Tensor) else found[output]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=5e-3)


def test_a_head_comes_with_what_it_reads(checkpoints: Path) -> None:
    loaded = load_network(checkpoints / "hierarchical_head")
    assert set(loaded.companions) == {"people_unet", "detector"}
    assert loaded.metrics["roi_miou"] > 0.5


def test_a_head_alone_is_refused(
    images: Path, served: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = str(served["hierarchical_head"])
    out = tmp_path / "head.ckpt"
    assert main(["import-served", head, f"--images={images}", f"--out={out}"]) == 1
    assert "needs --people-unet and --detector" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_without_pictures_is_named(
    served: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = str(served["yolov9"])
    assert main(["import-served", version, f"--images={tmp_path}", "--out=x"]) == 1
    assert f"{tmp_path}: the folder has no pictures" in capsys.readouterr().err


def test_a_broken_picture_is_named(
    served: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half.jpg").write_bytes(some_pictures(1)[0][:-40])
    version = str(served["yolov9"])
    assert main(["import-served", version, f"--images={tmp_path}", "--out=x"]) == 1
    assert f"peopleseg: {tmp_path / 'half.jpg'}: image is a damaged" in capsys.readouterr().err


def test_a_head_on_features_alone_is_refused(
    served: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version, out = tmp_path / "1", tmp_path / "head.ckpt"
    shutil.copytree(served["yolov9"], version)
    replace(Manifest.read(version), model="feature_head").write(version)
    assert main(["import-served", str(version), f"--images={images}", f"--out={out}"]) == 1
    assert "is a version of feature_head; expected one of yolov9" in capsys.readouterr().err
    assert not out.exists()
