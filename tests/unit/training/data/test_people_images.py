"""The made-up images are what the other tests take them for."""

from pathlib import Path

import numpy as np

from peopleseg.labels.coco import load_images
from peopleseg.pixels.images import decode_image
from tests.data.people_images import people_image, write_data_set


def test_a_seed_gives_the_same_image_again() -> None:
    first, again, other = people_image(4), people_image(4), people_image(5)
    np.testing.assert_array_equal(first.image_rgb, again.image_rgb)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert (first.image_rgb != other.image_rgb).any()


def test_masks_lie_apart_and_fill_their_boxes() -> None:
    counts = set()
    for seed in range(12):
        image = people_image(seed)
        counts.add(len(image.masks))
        assert image.masks.shape[1:] == image.image_rgb.shape[:2]
        assert image.masks.sum(axis=0).max(initial=0) <= 1  # who is behind is not seen
        for mask, box in zip(image.masks, image.boxes_xyxy.astype(int), strict=True):
            x1, y1, x2, y2 = box
            inside = mask[y1:y2, x1:x2]
            assert inside.sum() == mask.sum() > 0
            assert inside[0].any() and inside[-1].any()
            assert inside[:, 0].any() and inside[:, -1].any()
    assert len(counts) >= 4


def test_the_data_set_is_read_back(tmp_path: Path) -> None:
    images, annotations = write_data_set(tmp_path, count=5)
    annotated_images = load_images(annotations, images)
    assert len(annotated_images) == 5
    assert not annotated_images[0].people and any(image.people for image in annotated_images)
    for seed, image in enumerate(annotated_images):
        made = people_image(seed, count=None if seed else 0)
        np.testing.assert_array_equal(decode_image(image.path.read_bytes()), made.image_rgb)
        for person, mask in zip(image.people, made.masks, strict=True):
            np.testing.assert_array_equal(person.mask(image.height, image.width), mask)
