"""What a mask head reads of the repository's detector, when its checkpoint brings none."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.export.families import of_network
from conversion.people.inputs import RoiReader
from peopleseg.networks.checkpoint import load_network
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.people.roi_align import FeatureAligner, RoiAligner
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.pipeline import open_on_processors
from peopleseg.systems.wiring import serving_versions
from tests.export.networks import checkpoint, feature_head, mask_head

ROIS = np.array([[0, 100, 120, 300, 420], [0, 0, 0, 640, 640]], dtype=np.float32)


@pytest.fixture
def repository(root: Path, tmp_path: Path) -> Path:
    """With the served detector alone."""
    folder = tmp_path / "repository"
    served = root / "model_repository"
    version = serving_versions(served, PEOPLE)["yolov9"]
    shutil.copytree(served / "yolov9" / str(version), folder / "yolov9" / "1")
    return folder


@pytest.mark.parametrize("family", ["feature_head", "hierarchical_head"])
def test_a_head_without_its_detector_reads_the_repositorys(
    family: str, repository: Path, images: list[Path], tmp_path: Path, companions: dict[str, Any]
) -> None:
    channels = Manifest.read(repository / "yolov9" / "1").tensors["outputs"]["features"]["shape"][0]
    features_alone = family == "feature_head"
    head: Any = feature_head(channels) if features_alone else mask_head("b0", channels)
    beside = {} if features_alone else {"people_unet": companions["people_unet"]}
    loaded = load_network(checkpoint(tmp_path / "head.ckpt", head, **beside))
    reader = RoiReader(loaded, of_network(loaded), repository)
    pixels, letterbox = prepare_file(images[0])
    assert reader.people(pixels, letterbox).shape[1] == 5
    found = reader.read(pixels, ROIS)["roi_features"]
    served = open_on_processors(repository / "yolov9" / "1" / "model.onnx", threads=1)
    features = served(pixels=pixels)["features"]
    expected = (
        FeatureAligner().align(features, ROIS)
        if features_alone
        else RoiAligner().align(pixels, None, features, ROIS).roi_features
    )
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)
    assert np.abs(expected).mean() > 0.05
