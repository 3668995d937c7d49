from collections.abc import Callable

import cv2
import numpy as np
import pytest

from peopleseg.pixels.geometry import INPUT_SIZE, PAD_VALUE, Letterbox, clip_boxes, resize

PLACES = pytest.mark.parametrize("place", [Letterbox.fit, Letterbox.stretch])
Place = Callable[[int, int], Letterbox]

SIZES_WH = [(1, 1), (20, 4000), (4000, 20), (1, 4000), (640, 640), (639, 641), (3, 2), (1281, 17)]


def random_boxes(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    corners = random.uniform(0, 1, (50, 2, 2)) * (width, height)
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1).astype(np.float32)


def random_sizes(count: int) -> list[tuple[int, int]]:
    random = np.random.default_rng(1)
    return [(int(w), int(h)) for w, h in np.exp(random.uniform(0, np.log(4000), (count, 2)))]


@PLACES
@pytest.mark.parametrize("size_wh", SIZES_WH + random_sizes(30))
def test_boxes_to_network_and_back_are_the_same_boxes(place: Place, size_wh, random):
    width, height = size_wh
    letterbox = place(width, height)
    boxes = random_boxes(width, height, random)
    network = letterbox.boxes_to_network(boxes)
    np.testing.assert_allclose(letterbox.boxes_to_image(network), boxes, atol=0.01)
    assert network.min() >= -0.51 and network.max() <= INPUT_SIZE + 0.51


@PLACES
@pytest.mark.parametrize("size_wh", SIZES_WH + random_sizes(10))
def test_letterbox_survives_its_tensor(place: Place, size_wh):
    letterbox = place(*size_wh)
    assert Letterbox.from_array(letterbox.to_array()) == letterbox
    assert letterbox.to_array().dtype == np.float32 and letterbox.to_array().shape == (6,)


@PLACES
@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_the_image_fills_exactly_its_content_slices(place: Place, size_wh):
    width, height = size_wh
    letterbox = place(width, height)
    square = letterbox.apply(np.zeros((height, width, 3), dtype=np.uint8))
    assert square.shape == (INPUT_SIZE, INPUT_SIZE, 3)
    content = np.zeros(square.shape[:2], dtype=bool)
    content[letterbox.content_slices()] = True
    assert (square[content] == 0).all() and (square[~content] == PAD_VALUE).all()
    assert max(content.any(axis=0).sum(), content.any(axis=1).sum()) == INPUT_SIZE


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_a_stretched_image_is_all_of_the_square(size_wh):
    letterbox = Letterbox.stretch(*size_wh)
    assert letterbox.content_slices() == (slice(0, INPUT_SIZE), slice(0, INPUT_SIZE))
    whole = np.array([[0, 0, *size_wh]], dtype=np.float32)
    square = [[0, 0, INPUT_SIZE, INPUT_SIZE]]
    np.testing.assert_allclose(letterbox.boxes_to_network(whole), square, atol=1e-3)


@pytest.mark.parametrize("size_wh", [(640, 480), (427, 640), (100, 900), (640, 640)])
def test_stretching_an_image_that_does_not_shrink_both_ways_is_bilinear(size_wh, random):
    image = random.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    expected = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE))  # as the published models are called
    found = Letterbox.stretch(*size_wh).apply(image)
    assert np.abs(found.astype(int) - expected).max() <= 1


@PLACES
@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_boxes_cut_to_the_content_lie_in_the_image(place: Place, size_wh):
    letterbox = place(*size_wh)
    everything = np.array([[-100, -100, 900, 900]], dtype=np.float32)
    whole_image = np.array([[0, 0, *size_wh]], dtype=np.float32)
    content = letterbox.clip_to_content(everything)
    rows, columns = letterbox.content_slices()
    edges = [columns.start, rows.start, columns.stop, rows.stop]
    np.testing.assert_allclose(content[0], edges, atol=1.0)  # the content is whole pixels
    tolerance = 0.01 + 0.5 / letterbox.scale_x * (min(size_wh) * letterbox.scale_x < 1)
    np.testing.assert_allclose(letterbox.boxes_to_image(content), whole_image, atol=tolerance)


@PLACES
@pytest.mark.parametrize("size_wh", [(1920, 1080), (300, 777), (90, 40), (20, 4000), (640, 480)])
def test_a_marked_pixel_lands_where_boxes_to_network_says(place: Place, size_wh):
    width, height = size_wh
    letterbox = place(width, height)
    columns, rows = (max(1, round(8 / s)) for s in (letterbox.scale_x, letterbox.scale_y))
    for x, y in [(0, 0), (width // 3, height // 2), (width, height)]:  # eight network pixels each
        x, y = min(x, max(0, width - columns)), min(y, max(0, height - rows))
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[y : y + rows, x : x + columns] = 255
        marked = letterbox.apply(image)[..., 0].astype(np.float64)
        content = np.zeros_like(marked)
        content[letterbox.content_slices()] = marked[letterbox.content_slices()]
        right, bottom = min(x + columns, width), min(y + rows, height)
        box = np.array([[x, y, right, bottom]], dtype=np.float32)
        x1, y1, x2, y2 = letterbox.boxes_to_network(box)[0]
        positions = np.arange(INPUT_SIZE) + 0.5
        centre_x = (content.sum(axis=0) * positions).sum() / content.sum()
        centre_y = (content.sum(axis=1) * positions).sum() / content.sum()
        # At the border bilinear enlarging lacks the marker's outer half: up to scale / 8.
        tolerance = max(0.5, letterbox.scale_x / 8, letterbox.scale_y / 8)
        assert centre_x == pytest.approx((x1 + x2) / 2, abs=tolerance)
        assert centre_y == pytest.approx((y1 + y2) / 2, abs=tolerance)
        assert content.sum() / 255 == pytest.approx((x2 - x1) * (y2 - y1), rel=0.15, abs=8)


def test_an_image_of_the_networks_size_is_not_touched(random):
    image = random.integers(0, 256, (INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    assert (Letterbox.fit(INPUT_SIZE, INPUT_SIZE).apply(image) == image).all()


@pytest.mark.parametrize("scale", [0.001, 0.16, 0.5, 1.0, 3.7])
def test_resize_never_makes_an_empty_image(scale):
    image = np.full((7, 31, 3), 200, dtype=np.uint8)
    resized = resize(image, scale, scale)
    assert resized.shape == (max(1, round(7 * scale)), max(1, round(31 * scale)), 3)
    assert (resized == 200).all()


def test_clipped_boxes_lie_in_the_image_and_inner_ones_stay():
    boxes = np.array([[-5, -5, 5, 5], [1, 2, 3, 4], [90, 40, 200, 300]], dtype=np.float32)
    expected = [[0, 0, 5, 5], [1, 2, 3, 4], [90, 40, 100, 50]]
    assert clip_boxes(boxes, 100, 50).tolist() == expected
