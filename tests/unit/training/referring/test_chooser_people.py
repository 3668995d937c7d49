"""What training is told of people is what the served steps tell."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from conversion.referring.exportable import of_pose
from peopleseg.networks.checkpoint import load_companion
from peopleseg.pixels.images import prepare
from peopleseg.systems.referring.describing import length_of
from peopleseg.systems.referring.steps.crop_people import CropPeople
from peopleseg.systems.referring.steps.describe_people import DescribePeople
from tests.data.people_images import people_image, write_image
from training.referring.people_told import PeopleReader

BOXES = np.array([[20, 30, 90, 200], [100, 10, 180, 230], [-10, 50, 60, 240]], np.float32)


@pytest.fixture(scope="module")
def reader(pose: Path) -> PeopleReader:
    return PeopleReader(load_companion(pose, "person_pose"))


@pytest.fixture(scope="module")
def image_rgb() -> NDArray[np.uint8]:
    return people_image(3, count=3, size_hw=(240, 320)).image_rgb


@torch.no_grad()
def test_people_are_told_of_as_the_steps_tell_of_them(
    reader: PeopleReader, image_rgb: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "image.png"
    write_image(path, image_rgb)
    pixels, letterbox = prepare(path.read_bytes())
    given = {"people_boxes": BOXES, "letterbox": letterbox.to_array()[None]}
    crops = CropPeople(*reader.pose.size_hw).compute(("crops",), pixels=pixels, **given)["crops"]
    joints, looks = of_pose(reader.pose).module(torch.from_numpy(crops))
    expected = DescribePeople().compute(
        ("people",),
        text=np.array([b"left"], np.object_),
        people_scores=np.ones(3, np.float32),
        crops=crops,
        joints=joints.numpy(),
        looks=looks.numpy(),
        **given,
    )["people"][0]
    found = reader.told(image_rgb, BOXES)
    assert found.shape == (3, length_of(reader.pose.looks_length)) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected[:3], atol=1e-4)
    assert not expected[3:].any()


def test_each_person_looks_the_same_in_any_company(
    reader: PeopleReader, image_rgb: NDArray[np.uint8]
) -> None:
    together = reader.told(image_rgb, BOXES)
    for number in range(len(BOXES)):
        (alone,) = reader.told(image_rgb, BOXES[number : number + 1])
        counts = range(8, 13)
        np.testing.assert_allclose(
            np.delete(alone, counts), np.delete(together[number], counts), atol=2e-3
        )
        assert not alone[counts].any() and together[number, counts].any()


def test_of_nobody_nothing_is_told(reader: PeopleReader, image_rgb: NDArray[np.uint8]) -> None:
    found = reader.told(image_rgb, np.zeros((0, 4), np.float32))
    assert found.shape == (0, length_of(reader.pose.looks_length))
