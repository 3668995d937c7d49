"""From the square back to the image."""

import numpy as np
import pytest

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.semantic.response import areas_of, in_image

SIZES_WH = [(64, 64), (64, 48), (16, 64), (200, 150), (33, 77), (1000, 7), (1, 1), (1, 300)]


@pytest.mark.parametrize(("width", "height"), SIZES_WH)
@pytest.mark.parametrize("size", [32, 64])
def test_every_pixel_has_the_value_of_the_nearest_one_of_the_square(
    width: int, height: int, size: int
) -> None:
    square = np.arange(size * size, dtype=np.uint16).reshape(size, size)  # each value once
    letterbox = Letterbox.fit(width, height, size)
    found = in_image(square, letterbox)  # type: ignore[arg-type]
    assert found.shape == (height, width)
    rows, columns = letterbox.content_slices(size)
    for y in {0, height // 2, height - 1}:
        for x in {0, width // 2, width - 1}:
            row = rows.start + min(int((y + 0.5) * letterbox.scale_y), rows.stop - rows.start - 1)
            column = columns.start + min(
                int((x + 0.5) * letterbox.scale_x), columns.stop - columns.start - 1
            )
            assert found[y, x] == square[row, column]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (64, 48), (32, 64), (16, 8)])
def test_it_undoes_the_letterbox_of_an_image_that_is_not_made_smaller(
    width: int, height: int
) -> None:
    rng = np.random.default_rng(width)
    labels = rng.integers(0, 2, (height, width), dtype=np.uint8) * 200
    letterbox = Letterbox.fit(width, height, 64)
    square = letterbox.apply(np.repeat(labels[..., None], 3, axis=2), 64)[..., 0]
    np.testing.assert_array_equal(in_image(square, letterbox) > 100, labels > 100)


def test_a_stretched_image_comes_back_too() -> None:
    square = np.zeros((64, 64), np.uint8)
    square[:, 32:] = 3
    square[32:] += 1
    found = in_image(square, Letterbox.stretch(10, 100, 64))
    quarters = np.array([[0, 3], [1, 4]]).repeat(50, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(found, quarters)


def test_the_border_of_the_square_is_nowhere_in_the_image() -> None:
    for width, height in SIZES_WH:
        letterbox = Letterbox.fit(width, height, 64)
        square = np.full((64, 64), 255, np.uint8)
        square[letterbox.content_slices(64)] = 1
        assert (in_image(square, letterbox) == 1).all(), (width, height)


def test_areas_are_shares_of_all_classes() -> None:
    classes = np.array([[0, 0, 2], [0, 2, 5]], np.uint8)
    found = areas_of(classes, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([3, 0, 2, 0, 0, 1, 0]) / 6, rtol=1e-6)
