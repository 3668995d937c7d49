"""Overlays."""

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg import Person, draw_people
from peopleseg.pixels.masks import encode_rle, paste_mask
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.drawing import colours
from tests.data.people_images import people_image


def person_of(
    box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int], score: float = 0.9
) -> Person:
    """Somebody who fills the whole box."""
    mask = np.full((128, 96), 255, dtype=np.uint8)
    return Person(box_xyxy, score, mask, encode_rle(paste_mask(mask, np.array(box_xyxy), size_hw)))


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (before != after).any(axis=2)


def test_colours_of_all_people_differ_clearly() -> None:
    assert len(set(colours(MAX_PEOPLE))) == MAX_PEOPLE
    for first, second in itertools.combinations(colours(12), 2):
        assert np.abs(np.subtract(first, second)).sum() > 60


def test_nobody_gives_the_same_image_in_a_new_array() -> None:
    image = people_image(1).image_rgb
    drawn = draw_people(image, [])
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_the_person_changes_and_the_rest_stays() -> None:
    image = np.full((200, 300, 3), 40, dtype=np.uint8)
    before = image.copy()
    drawn = draw_people(image, [person_of((100, 80, 160, 190), (200, 300))])
    np.testing.assert_array_equal(image, before)
    where = changed(image, drawn)
    assert where[80:190, 100:160].all()
    assert not where[:, 220:].any() and not where[:, :95].any() and not where[193:].any()


def test_the_image_shows_through_the_mask() -> None:
    image = people_image(5).image_rgb
    height, width = image.shape[:2]
    drawn = draw_people(image, [person_of((0, 0, width, height), (height, width))])
    inner = slice(60, -60)
    assert np.corrcoef(image[inner, inner].ravel(), drawn[inner, inner].ravel())[0, 1] > 0.6


def test_each_person_has_a_colour_of_their_own() -> None:
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    boxes = [(10, 60, 90, 190), (110, 60, 190, 190), (210, 60, 290, 190)]
    drawn = draw_people(image, [person_of(box, (200, 300)) for box in boxes])
    centres = {tuple(drawn[125, (x1 + x2) // 2].tolist()) for x1, _, x2, _ in boxes}
    assert len(centres) == 3


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1), (7, 9), (40, 40), (1080, 1920)])
def test_any_size_can_be_drawn(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    image = np.zeros((height, width, 3), dtype=np.uint8)
    drawn = draw_people(image, [person_of((0, 0, width, height), size_hw)])
    assert drawn.shape == image.shape
    assert changed(image, drawn).any()


@pytest.mark.parametrize("box", [(0, 0, 40, 40), (260, 160, 300, 200), (290, 0, 300, 200)])
def test_a_label_at_the_edge_stays_within_the_image(
    box: tuple[float, float, float, float],
) -> None:
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    drawn = draw_people(image, [person_of(box, (200, 300))])
    x1, y1, x2, y2 = (int(side) for side in box)
    outline = np.zeros((200, 300), dtype=bool)
    outline[y1:y2, x1:x2] = True
    assert (changed(image, drawn) & (drawn.max(axis=2) > 200)).sum() > 100
    assert changed(image, drawn)[outline].all()


def test_lines_grow_with_the_image() -> None:
    def outline_px(side: int) -> int:
        image = np.zeros((side, side, 3), dtype=np.uint8)
        box = (side // 2, side // 4, side - side // 8, side - side // 8)
        row = draw_people(image, [person_of(box, (side, side))])[side * 2 // 3].max(axis=1)
        return int((row[: side * 5 // 8] > 200).sum())

    assert outline_px(2400) >= 4 * outline_px(400) > 0


def test_a_large_image_takes_moments() -> None:
    image = np.zeros((3000, 4000, 3), dtype=np.uint8)
    people = [person_of((x, 100, x + 300, 1500), (3000, 4000)) for x in range(0, 3000, 300)]
    start = time.monotonic()
    draw_people(image, people)
    assert time.monotonic() - start < 10


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 20\).*\(20, 10\)"):
        draw_people(np.zeros((20, 10, 3), dtype=np.uint8), [person_of((0, 0, 5, 5), (10, 20))])
