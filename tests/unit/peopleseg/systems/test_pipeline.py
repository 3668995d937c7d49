"""The steps in one process have the versions, and with them the settings, that are named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from conversion.step_version import new_step_version
from peopleseg.checks.check import planned_faults
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.system import PEOPLE
from tests.data.small_repository import (
    write_detector,
    write_head,
    write_images,
    write_small_repository,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_small_repository(tmp_path / "repository")


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    folder, _ = write_images(tmp_path / "images", count=1)
    return (folder / "0.png").read_bytes()


def test_versions_that_are_not_named_are_those_that_serve(repository: Path, image: bytes) -> None:
    write_head(repository, 2, bias=-1000)  # blind
    assert PeoplePipeline(repository).segment(image).masks.max() > 200
    blind = PeoplePipeline(repository, versions={"hierarchical_head": 2})
    assert blind.versions["yolov9"] == 1
    assert blind.segment(image).masks.max() == 0


def test_a_step_that_no_ensemble_pins_has_to_be_named(repository: Path, image: bytes) -> None:
    with pytest.raises(ValueError, match="no version of feature_head.*name it"):
        PeoplePipeline(repository, versions={"roi_align_features": 1}).segment_by_features(image)


def test_the_settings_are_those_of_the_steps_version(repository: Path, image: bytes) -> None:
    new_step_version(repository, "select_people", {"min_score": 0.95})
    assert len(PeoplePipeline(repository).segment(image).boxes) == 1
    strict = PeoplePipeline(repository, versions={"select_people": 2})
    assert len(strict.segment(image).boxes) == 0


def test_a_head_of_another_size_gives_masks_of_its_size(repository: Path, image: bytes) -> None:
    write_head(repository, 2, roi_size_hw=(80, 60))
    new_step_version(repository, "roi_align", {"roi_size_hw": [80, 60]})
    large = PeoplePipeline(repository, versions={"hierarchical_head": 2, "roi_align": 2})
    assert large.segment(image).masks.shape == (1, 160, 120)
    nobody = large.segment_from_boxes(image, np.zeros((0, 4), dtype=np.float32))
    assert nobody.masks.shape == (0, 160, 120)


def test_a_network_that_the_head_does_not_read_is_not_loaded(
    repository: Path, image: bytes
) -> None:
    write_head(repository, 2, reads=("roi_rgb",))
    for unread in ("people_unet", "yolov9"):
        shutil.rmtree(repository / unread / "1")
    rgb = PeoplePipeline(repository, versions={"hierarchical_head": 2})
    boxes = np.array([[200, 100, 440, 540]], dtype=np.float32)
    assert rgb.segment_from_boxes(image, boxes).masks.max() > 200


@pytest.mark.parametrize("stride", [16, 20])
def test_a_detector_may_have_another_grid(repository: Path, image: bytes, stride: int) -> None:
    write_detector(repository, 2, stride=stride)
    assert planned_faults(repository, PEOPLE, {"yolov9": 2}) == []
    coarse = PeoplePipeline(repository, versions={"yolov9": 2}).segment(image)
    fine = PeoplePipeline(repository).segment(image)
    np.testing.assert_allclose(coarse.boxes, fine.boxes)
    np.testing.assert_allclose(coarse.masks, fine.masks, atol=2)
