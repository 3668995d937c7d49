from pathlib import Path

import cv2
import numpy as np
import pytest

from peopleseg.coco import Picture
from peopleseg.geometry import PAD_VALUE, Letterbox
from training.augment import View, jitter_colour, letterbox_view, random_view, read_rgb

SIZES_WH = [(640, 480), (333, 500), (200, 50)]


def picture(width: int, height: int) -> Picture:
    return Picture(1, Path("none.jpg"), width, height)


def bounding_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def views(size_wh: tuple[int, int], count: int) -> list[View]:
    random = np.random.default_rng(0)
    return [random_view(picture(*size_wh), 320, (0.6, 1.8), random) for _ in range(count)]


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_the_view_of_a_box_is_the_box_of_the_viewed_mask(size_wh):
    width, height = size_wh
    box = np.array([[width * 0.3, height * 0.4, width * 0.6, height * 0.8]]).round()
    mask = np.zeros((height, width), dtype=np.uint8)
    x1, y1, x2, y2 = box[0].astype(int)
    mask[y1:y2, x1:x2] = 1
    seen = 0
    for view in views(size_wh, 20):
        expected = np.clip(view.boxes(box.astype(np.float32))[0], 0, view.size)
        viewed = view.mask(mask)
        if (expected[2:] - expected[:2]).min() > 2:
            np.testing.assert_allclose(bounding_box(viewed), expected, atol=1.01)
            seen += 1
    assert seen > 5


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_image_and_mask_are_seen_in_the_same_place(size_wh):
    width, height = size_wh
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 3 : width // 2] = 255
    for view in views(size_wh, 10):
        image = view.image(np.dstack([mask] * 3))[..., 0]
        inside = view.mask(np.ones_like(mask)) > 0
        inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3))) > 0  # the border blends
        wrong = (image > 127) != (view.mask(mask) > 127)
        edge = cv2.morphologyEx(view.mask(mask), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        assert not (wrong & inside & ~edge).any()


def test_random_views_flip_about_half_the_time_and_boxes_stay_ordered(random):
    flips = 0
    for view in views((640, 480), 200):
        flips += view.matrix[0, 0] < 0
        corners = random.uniform(0, 400, (5, 2, 2))
        boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
        seen = view.boxes(boxes.astype(np.float32))
        assert seen.dtype == np.float32 and (seen[:, 2:] >= seen[:, :2]).all()
    assert 60 < flips < 140


def test_no_boxes_are_no_boxes():
    view = letterbox_view(picture(640, 480), 320)
    assert view.boxes(np.empty((0, 4), dtype=np.float32)).shape == (0, 4)


@pytest.mark.parametrize("size_wh", [(640, 480), (320, 320), (97, 300), (1000, 700)])
def test_the_letterbox_view_is_the_letterbox(size_wh, random):
    width, height = size_wh
    letterbox = Letterbox.fit(width, height, 320)
    view = letterbox_view(picture(width, height), 320)
    boxes = random.uniform(0, 300, (10, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(view.boxes(boxes), letterbox.boxes_to_network(boxes), atol=1e-2)
    small = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    difference = np.abs(view.image(image).astype(int) - letterbox.apply(image, 320))
    assert difference.mean() < 1.0


def test_outside_the_picture_is_grey_or_the_given_label():
    view = letterbox_view(picture(200, 50), 320)
    image = view.image(np.zeros((50, 200, 3), dtype=np.uint8))
    assert (image[0] == PAD_VALUE).all() and (image[160, 1:-1] == 0).all()
    assert (view.mask(np.zeros((50, 200), dtype=np.uint8), outside=255)[0] == 255).all()


def test_colour_changes_but_shape_and_type_stay(random):
    image = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    changed = [jitter_colour(image, random) for _ in range(60)]
    assert all(c.shape == image.shape and c.dtype == np.uint8 for c in changed)
    assert all((c != image).any() for c in changed)
    greys = [(c == c[..., :1]).all() for c in changed]
    assert 0 < sum(greys) < 20


def test_pictures_are_read_as_rgb_without_the_exif_turn(tmp_path):
    from PIL import Image

    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[..., 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "red.jpg", quality=95, exif=exif)
    read = read_rgb(tmp_path / "red.jpg")
    assert read.shape == (20, 30, 3)
    assert read[..., 0].min() > 240 and read[..., 2].max() < 15


def test_an_unreadable_picture_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.jpg cannot be read"):
        read_rgb(tmp_path / "broken.jpg")
