"""Overlays of classes."""

import numpy as np
import pytest

from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.drawing import draw_classes, largest_first
from peopleseg.systems.semantic.palette import palette

GREY = 90


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def test_background_stays_and_a_class_has_its_colour_blended_in() -> None:
    image, classes = grey(300, 400), np.zeros((300, 400), np.uint8)
    classes[200:, 300:] = 15
    drawn = draw_classes(image, classes, VOC_CLASSES)
    expected = (GREY + palette()[15].astype(float)) / 2
    assert np.abs(drawn[200:, 300:] - expected).max() <= 1
    assert (drawn[200:, :300] == GREY).all() and (image == GREY).all()


def test_the_legend_has_a_row_for_each_class_that_is_there_the_largest_first() -> None:
    classes = np.zeros((300, 400), np.uint8)
    classes[250:, :200], classes[250:, 200:300] = 7, 1
    legend = draw_classes(grey(300, 400), classes, VOC_CLASSES)[:250, 1]
    rows = [tuple(colour) for colour in legend[(legend != GREY).any(axis=1)].tolist()]
    assert list(dict.fromkeys(rows)) == [tuple(palette()[number].tolist()) for number in (7, 1)]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1), (20, 20), (40, 4000)])
def test_an_image_without_room_has_no_legend_or_a_shorter_one(size_hw: tuple[int, int]) -> None:
    classes = np.resize(np.arange(21, dtype=np.uint8), size_hw)
    assert draw_classes(grey(*size_hw), classes, VOC_CLASSES).shape == (*size_hw, 3)


def test_an_image_of_background_alone_is_not_changed() -> None:
    image = grey(300, 400)
    drawn = draw_classes(image, np.zeros((300, 400), np.uint8), VOC_CLASSES)
    np.testing.assert_array_equal(drawn, image)


def test_classes_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\), this one has \(4, 3\)"):
        draw_classes(grey(4, 3), np.zeros((3, 4), np.uint8), VOC_CLASSES)


def test_classes_that_are_not_there_are_not_named() -> None:
    assert largest_first({"a": 0.2, "b": 0.0, "c": 0.8}) == ["c", "a"]
