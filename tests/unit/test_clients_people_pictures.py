"""The made-up images are what the other tests take them for."""

from pathlib import Path

import numpy as np

from peopleseg.labels.coco import load_pictures
from peopleseg.pixels.images import decode_image
from tests.data.people_pictures import people_picture, write_data_set


def test_a_seed_gives_the_same_picture_again() -> None:
    first, again, other = people_picture(4), people_picture(4), people_picture(5)
    np.testing.assert_array_equal(first.image_rgb, again.image_rgb)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert (first.image_rgb != other.image_rgb).any()


def test_masks_lie_apart_and_fill_their_boxes() -> None:
    counts = set()
    for seed in range(12):
        picture = people_picture(seed)
        counts.add(len(picture.masks))
        assert picture.masks.shape[1:] == picture.image_rgb.shape[:2]
        assert picture.masks.sum(axis=0).max(initial=0) <= 1  # who is behind is not seen
        for mask, box in zip(picture.masks, picture.boxes_xyxy.astype(int), strict=True):
            x1, y1, x2, y2 = box
            inside = mask[y1:y2, x1:x2]
            assert inside.sum() == mask.sum() > 0
            assert inside[0].any() and inside[-1].any()
            assert inside[:, 0].any() and inside[:, -1].any()
    assert len(counts) >= 4


def test_the_data_set_is_read_back(tmp_path: Path) -> None:
    images, annotations = write_data_set(tmp_path, count=5)
    pictures = load_pictures(annotations, images)
    assert len(pictures) == 5
    assert not pictures[0].people and any(picture.people for picture in pictures)
    for seed, picture in enumerate(pictures):
        made = people_picture(seed, count=None if seed else 0)
        np.testing.assert_array_equal(decode_image(picture.path.read_bytes()), made.image_rgb)
        for person, mask in zip(picture.people, made.masks, strict=True):
            np.testing.assert_array_equal(person.mask(picture.height, picture.width), mask)
