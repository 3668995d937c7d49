"""Crops around people: where a place of the image lands, and that nothing is left out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.systems.referring.crops import MARGIN, crop, crop_matrix, inverse, mapped

SIZE_HW = (64, 48)
BOX = (70.0, 30.0, 118.0, 124.0)
CHANGES = {
    "plain": {},
    "turned": {"turn_degrees": 30.0},
    "mirrored": {"mirrored": True},
    "enlarged": {"scale": 0.5},
    "shifted": {"shift_xy": (0.1, -0.05)},
    "all": {"turn_degrees": -25.0, "mirrored": True, "scale": 1.3, "shift_xy": (-0.05, 0.1)},
}


def centroid(view: NDArray[np.uint8]) -> NDArray[np.float64]:
    """x, y of what is bright, from the view's edge."""
    weights = view[..., 0].astype(float)
    rows, columns = np.indices(weights.shape) + 0.5
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def spot(x: int, y: int, side: int, size_hw: tuple[int, int] = (160, 200)) -> NDArray[np.uint8]:
    """Black, but for a white square around the corner of pixels at x, y."""
    image = np.zeros((*size_hw, 3), np.uint8)
    half = side // 2
    image[y - half : y + half, x - half : x + half] = 255
    return image


@pytest.mark.parametrize("change", CHANGES)
def test_the_way_back_is_the_identity(change: str, random: np.random.Generator) -> None:
    matrix = crop_matrix(BOX, SIZE_HW, **CHANGES[change])  # type: ignore[arg-type]
    places = random.uniform(-50, 250, (7, 3, 2))
    there_and_back = mapped(mapped(places, matrix), inverse(matrix))
    np.testing.assert_allclose(there_and_back, places, atol=1e-9)


def test_the_box_is_in_the_middle_with_the_margin_around_it() -> None:
    matrix = crop_matrix(BOX, SIZE_HW)
    corners = mapped(np.array(BOX, np.float64).reshape(2, 2), matrix)
    np.testing.assert_allclose(corners.mean(axis=0), (24, 32))
    # The box is narrower than the crop: its height decides.
    assert corners[1, 1] - corners[0, 1] == pytest.approx(64 / MARGIN)
    sides, box_sides = corners[1] - corners[0], np.subtract(BOX[2:], BOX[:2])
    assert sides[0] / sides[1] == pytest.approx(box_sides[0] / box_sides[1])


def test_a_turn_is_clockwise_and_a_mirrored_crop_has_left_on_the_right() -> None:
    centre = np.array([94, 77], np.float64)
    right_of_it = centre + np.array([10, 0], np.float64)
    turned = mapped(right_of_it, crop_matrix(BOX, SIZE_HW, turn_degrees=90))
    assert turned[0] == pytest.approx(24) and turned[1] > 33  # downwards
    assert mapped(right_of_it, crop_matrix(BOX, SIZE_HW, mirrored=True))[0] < 23


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_shift_is_in_parts_of_the_crop_and_a_scale_shows_more_of_the_image(scale: float) -> None:
    places = np.array([(94, 77), (104, 77)], np.float64)  # the box's middle, and beside it
    still = mapped(places, crop_matrix(BOX, SIZE_HW))
    shifted = mapped(places, crop_matrix(BOX, SIZE_HW, scale=scale, shift_xy=(0.25, -0.125)))
    np.testing.assert_allclose(shifted[0], still[0] - (12, -8))
    assert shifted[1, 0] - shifted[0, 0] == pytest.approx((still[1, 0] - still[0, 0]) / scale)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("x", "y"), [(94, 77), (84, 60), (104, 100)])
def test_a_marked_place_lands_where_it_is_mapped(change: str, x: int, y: int) -> None:
    matrix = crop_matrix(BOX, SIZE_HW, **CHANGES[change])  # type: ignore[arg-type]
    found = centroid(crop(spot(x, y, side=6), matrix, SIZE_HW))
    assert np.abs(found - mapped(np.array([x, y], float), matrix)).max() < 0.15


@pytest.mark.parametrize("change", ["plain", "turned", "mirrored", "all"])
@pytest.mark.parametrize("shrink", [2.0, 4.6, 10.0])
def test_a_shrunk_crop_too_has_a_marked_place_where_it_is_mapped(
    change: str, shrink: float
) -> None:
    side = shrink / MARGIN  # pixels of the image a pixel of the crop, with the margin
    box = (300.0, 200.0, 300 + 48 * side, 200 + 64 * side)
    matrix = crop_matrix(box, SIZE_HW, **CHANGES[change])  # type: ignore[arg-type]
    x, y = int(300 + 20 * side), int(200 + 30 * side)
    found = centroid(crop(spot(x, y, 2 * int(2 * shrink), (1000, 1200)), matrix, SIZE_HW))
    assert np.abs(found - mapped(np.array([x, y], float), matrix)).max() < 0.25


def test_shrinking_takes_means_and_leaves_nothing_out() -> None:
    side = 10 / MARGIN
    box = (100.0, 60.0, 100 + 48 * side, 60 + 64 * side)
    matrix = crop_matrix(box, SIZE_HW)
    assert np.sqrt(np.linalg.det(matrix[:, :2])) == pytest.approx(0.1)
    stripes = np.zeros((900, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    inside = crop(stripes, matrix, SIZE_HW)[12:50, 12:40]
    assert inside.min() >= 85 and inside.max() <= 115  # means of 9 columns at least
    for x, y in ((203, 201), (204, 207), (209, 202)):  # anywhere between the crop's pixels
        shown = crop(spot(x, y, side=4, size_hw=(900, 800)), matrix, SIZE_HW)
        assert shown[..., 0].sum() * 100 == pytest.approx(16 * 255, rel=0.15)


@pytest.mark.parametrize("shrink", [0.5, 1.0, 3.0, 10.0])
def test_what_is_outside_of_the_image_is_black(shrink: float) -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    side = shrink / MARGIN
    box = (-24 * side, 100, 24 * side, 100 + 64 * side)  # the left half is outside
    view = crop(image, crop_matrix(box, SIZE_HW), SIZE_HW)
    assert view.shape == (64, 48, 3) and view.dtype == np.uint8
    assert (view[32, :22] == 0).all() and (view[12, 26:40] == 255).all()


@pytest.mark.parametrize("box", [(-900, -900, -800, -700), (5000, 10, 5200, 400), (0, 900, 9, 950)])
def test_a_box_outside_of_the_image_gives_black(box: tuple[float, ...]) -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    assert not crop(image, crop_matrix(box, SIZE_HW), SIZE_HW).any()


@pytest.mark.parametrize("place", [(50.5, 40.5), (0.5, 0.5), (199.5, 159.5)])
def test_a_box_of_no_size_shows_its_pixel(
    place: tuple[float, float], random: np.random.Generator
) -> None:
    image = random.integers(0, 256, (160, 200, 3), dtype=np.uint8)
    matrix = crop_matrix((*place, *place), SIZE_HW)
    assert np.isfinite(matrix).all()
    expected = np.broadcast_to(image[int(place[1]), int(place[0])], (*SIZE_HW, 3))
    np.testing.assert_array_equal(crop(image, matrix, SIZE_HW), expected)


def test_an_image_of_one_pixel_is_cropped() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    assert crop(image, crop_matrix((0, 0, 1, 1), SIZE_HW), SIZE_HW)[32, 24].tolist() == [255] * 3
