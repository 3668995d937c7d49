"""Guessed label maps: an object in its box, people in front, and nothing known where not sure."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.systems.semantic.contract import VOC_CLASSES
from training.semantic.guessing import COCO_OF_VOC, PERSON, Object, guess

CAR, BOTTLE = VOC_CLASSES.index("car"), VOC_CLASSES.index("bottle")
SIZE_HW = (120, 160)
NOBODY = np.zeros(SIZE_HW, np.uint8)
BOX = (30.0, 30.0, 110.0, 90.0)


@pytest.fixture
def image_rgb() -> NDArray[np.uint8]:
    """A red ellipse that fills BOX, on grass."""
    random = np.random.default_rng(0)
    image = (np.array([30, 120, 30]) + random.integers(-20, 20, (*SIZE_HW, 1))).astype(np.uint8)
    image = np.broadcast_to(image, (*SIZE_HW, 3)).copy()
    cv2.ellipse(image, (70, 60), (38, 28), 0, 0, 360, (200, 40, 40), cv2.FILLED)
    return image


def iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((found & true).sum() / (found | true).sum())


def test_an_object_is_told_from_what_is_around_it(image_rgb: NDArray[np.uint8]) -> None:
    labels = guess(image_rgb, [Object(CAR, 0.9, BOX)], NOBODY)
    assert iou(labels == CAR, image_rgb[..., 0] > 150) > 0.9
    assert (labels[:25] == 0).all(), "outside of every box is background"
    assert labels[32, 32] == UNKNOWN, "in the box, beside the object"


def test_what_may_be_there_is_unknown_and_what_is_not_is_background(
    image_rgb: NDArray[np.uint8],
) -> None:
    perhaps = guess(image_rgb, [Object(CAR, 0.3, BOX)], NOBODY)
    assert set(np.unique(perhaps)) == {0, UNKNOWN} and perhaps[60, 70] == UNKNOWN
    assert not guess(image_rgb, [Object(CAR, 0.1, BOX)], NOBODY).any()


def test_people_are_in_front_and_not_part_of_objects(image_rgb: NDArray[np.uint8]) -> None:
    people = NOBODY.copy()
    people[40:80, 60:80] = PERSON
    image_rgb[40:80, 60:80] = (40, 60, 220)
    labels = guess(image_rgb, [Object(CAR, 0.9, BOX)], people)
    assert (labels[40:80, 60:80] == PERSON).all() and (labels[50:70, 42:56] == CAR).all()


def test_the_smaller_of_two_objects_is_in_front(image_rgb: NDArray[np.uint8]) -> None:
    cv2.rectangle(image_rgb, (62, 48), (78, 72), (240, 240, 60), cv2.FILLED)
    found = [Object(BOTTLE, 0.8, (58.0, 44.0, 83.0, 77.0)), Object(CAR, 0.9, BOX)]
    for order in (found, found[::-1]):
        labels = guess(image_rgb, order, NOBODY)
        assert labels[60, 70] == BOTTLE and labels[60, 45] == CAR


def test_an_object_that_cannot_be_told_is_unknown(image_rgb: NDArray[np.uint8]) -> None:
    flat = np.full_like(image_rgb, 90)
    labels = guess(flat, [Object(CAR, 0.9, BOX)], NOBODY)
    assert set(np.unique(labels[31:89, 31:109])) == {UNKNOWN}


@pytest.mark.parametrize(
    "box", [(-50.0, -50.0, 500.0, 500.0), (70.0, 60.0, 71.0, 61.0), (200.0, 0.0, 300.0, 50.0)]
)
def test_boxes_of_any_size_and_place_are_taken(
    image_rgb: NDArray[np.uint8], box: tuple[float, ...]
) -> None:
    labels = guess(image_rgb, [Object(CAR, 0.9, box)], NOBODY)
    assert set(np.unique(labels)) <= {0, CAR, UNKNOWN}


def test_the_guess_is_the_same_again(image_rgb: NDArray[np.uint8]) -> None:
    first, second = (guess(image_rgb, [Object(CAR, 0.9, BOX)], NOBODY) for _ in range(2))
    assert (first == second).all()


def test_every_class_but_the_background_has_its_number_in_coco() -> None:
    assert set(COCO_OF_VOC) == set(VOC_CLASSES[1:])
    assert len(set(COCO_OF_VOC.values())) == 20 and max(COCO_OF_VOC.values()) < 80
