"""Mosaic and copy-paste: who is where stays true."""

import cv2
import numpy as np
import pytest
import torch

from peopleseg.labels.coco import box_pixels
from peopleseg.pixels.geometry import PAD_VALUE
from tests.data.people_images import people_image
from training.data.mosaic import copy_paste, mosaic
from training.data.scene import CROWD, Scene, make_scene

SIZE = 96
IMAGES = (50, 100, 150, 200)  # the green of each of the four images, all over
BACKGROUND, FIGURE = 10, 210  # red
KERNEL = np.ones((3, 3), dtype=np.uint8)


def block_scene(
    number: int,
    size_hw: tuple[int, int] = (80, 110),
    *,
    masked: bool = True,
    ignored_boxes=(),
) -> Scene:
    """One person, exactly its box; masked: with a mask."""
    height, width = size_hw
    mask = np.zeros((1, height, width), dtype=np.uint8)
    mask[0, 20:60, 30:70] = 1
    image = np.full((height, width, 3), IMAGES[number], dtype=np.uint8)
    image[..., 0] = np.where(mask[0] > 0, FIGURE, BACKGROUND)
    box = np.array([[30, 20, 70, 60]], dtype=np.float32)
    ignored = np.zeros((1, height, width), dtype=np.uint8)
    masks = mask if masked else mask[:0]
    regions = np.array(ignored_boxes, dtype=np.float32).reshape(-1, 4)
    sides = torch.tensor([40.0])
    return make_scene(image, box, sides, masks, ignored, torch.tensor([masked]), regions)


def made_scene(seed: int) -> Scene:
    made = people_image(seed, size_hw=(SIZE, SIZE))
    sides = torch.from_numpy((made.boxes_xyxy[:, 2:] - made.boxes_xyxy[:, :2]).min(axis=1))
    ignored = np.zeros((1, SIZE, SIZE), dtype=np.uint8)
    return make_scene(made.image_rgb, made.boxes_xyxy, sides, made.masks, ignored)


def bounding_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


# --- mosaic


def test_a_mosaic_shows_parts_of_four_images_around_a_centre():
    centres = set()
    for seed in range(20):
        torch.manual_seed(seed)
        seen = mosaic([block_scene(i) for i in range(4)], SIZE)
        at = [np.argwhere(seen.image_rgb()[..., 1] == green) for green in IMAGES]
        assert all(len(pixels) for pixels in at)
        bottom, right = at[0].max(axis=0) + 1  # of the first: where the others begin
        assert (at[1][:, 1] >= right).all() and (at[2][:, 0] >= bottom).all()
        assert (at[3] >= (bottom, right)).all()
        assert 0.25 * SIZE <= min(bottom, right) and max(bottom, right) <= 0.75 * SIZE
        centres.add((bottom, right))
    assert len(centres) > 15


def test_small_images_of_a_mosaic_meet_at_the_centre():
    torch.manual_seed(0)
    seen = mosaic([block_scene(i) for i in range(4)], SIZE, (0.2, 0.2)).image_rgb()[..., 1]
    at = [np.argwhere(seen == green) for green in IMAGES]
    low, high = [p.min(axis=0) for p in at], [p.max(axis=0) + 1 for p in at]
    y, x = high[0]
    assert (high[1][0], low[1][1]) == (y, x) == (low[2][0], high[2][1])
    assert low[3].tolist() == [y, x]
    assert (seen == PAD_VALUE).any()


def test_boxes_of_a_mosaic_are_where_the_people_are():
    people = 0
    for seed in range(30):
        torch.manual_seed(seed)
        seen = mosaic([block_scene(i) for i in range(4)], SIZE)
        image, nobody = seen.image_rgb(), np.ones((SIZE, SIZE), dtype=bool)
        for box in (*seen.boxes, *seen.ignored_boxes):
            nobody[box_pixels((box + torch.tensor([-1, -1, 1, 1])).tolist(), (SIZE, SIZE))] = False
        assert (image[nobody, 0] <= PAD_VALUE).all()
        for box in seen.boxes:
            assert (box >= 0).all() and (box <= SIZE).all()
            left, top = (box[:2] + 1).ceil().int().tolist()  # the edge blends
            right, bottom = (box[2:] - 1).floor().int().tolist()
            person = image[top:bottom, left:right]
            assert (person[..., 0] == FIGURE).all() and len(np.unique(person[..., 1])) == 1
            people += 1
    assert people > 60


def test_who_is_mostly_cut_off_by_a_mosaic_is_dropped():
    whole_area = 40 * 40 * (SIZE / 110) ** 2
    dropped = 0
    for seed in range(40):
        torch.manual_seed(seed)
        seen = mosaic([block_scene(i) for i in range(4)], SIZE, (1.0, 1.0))
        sides = seen.boxes[:, 2:] - seen.boxes[:, :2]
        assert (sides.prod(dim=1) >= 0.28 * whole_area).all()
        assert len(seen.boxes) == len(seen.masked) == len(seen.short_sides_px)
        dropped += 4 - len(seen.boxes)
    assert dropped


def test_a_mosaic_of_empty_images_is_empty():
    nobody = [make_empty(40, 60)] * 4
    seen = mosaic(nobody, SIZE)
    assert seen.boxes.shape == (0, 4) and seen.masked.shape == (0,)


def make_empty(height: int, width: int) -> Scene:
    return make_scene(
        np.zeros((height, width, 3), dtype=np.uint8),
        np.empty((0, 4), dtype=np.float32),
        torch.empty(0),
        np.empty((0, height, width), dtype=np.uint8),
        np.zeros((1, height, width), dtype=np.uint8),
    )


def test_an_ignored_image_of_a_mosaic_is_the_whole_of_its_part_and_nothing_else():
    for seed in range(20):
        torch.manual_seed(seed)
        scenes = [block_scene(0), block_scene(1, ignored_boxes=[[0, 0, 110, 80]])]
        seen = mosaic([*scenes, block_scene(2), block_scene(3)], SIZE, (1.0, 1.0))
        own = seen.image_rgb()[..., 1] == IMAGES[1]
        cut_off = seen.ignored_boxes.round().int().tolist()
        cut_off.remove(bounding_box(own))
        # Of whom too little is left is neither a target nor background.
        people = (seen.image_rgb()[..., 0] == FIGURE).astype(np.uint8)
        parts = cv2.connectedComponentsWithStats(people)[0] - 1
        assert len(seen.boxes) <= parts <= len(seen.boxes) + len(cut_off) <= 4


def test_a_mosaic_is_of_four():
    with pytest.raises(ValueError, match="4 scenes, not of 3"):
        mosaic([block_scene(0)] * 3, SIZE)


# --- copy-paste


def test_pasted_people_are_those_of_the_other_image_and_in_front():
    pasted_counts = set()
    for seed in range(25):
        torch.manual_seed(seed)
        scene, other = made_scene(seed), made_scene(seed + 100)
        both = copy_paste(scene, other)
        masks, others = both.mask_arrays()[0], other.mask_arrays()[0]
        pasted = [m for m in masks if any((m == o).all() for o in others)]
        front = np.any(pasted, axis=0) if pasted else np.zeros((SIZE, SIZE), dtype=bool)
        np.testing.assert_array_equal(both.image_rgb()[front], other.image_rgb()[front])
        np.testing.assert_array_equal(both.image_rgb()[~front], scene.image_rgb()[~front])
        assert masks.sum(axis=0).max(initial=0) <= 1
        behind = scene.mask_arrays()[0] & ~front
        left = [m for m in behind if m.any()]
        np.testing.assert_array_equal(masks[: len(left)], np.array(left).reshape(-1, SIZE, SIZE))
        assert len(masks) == len(left) + len(pasted) == len(both.boxes)
        for mask, box in zip(masks, both.boxes.numpy(), strict=True):
            np.testing.assert_array_equal(bounding_box(mask), box)
        pasted_counts.add(len(pasted))
    assert len(pasted_counts) >= 3


def only_pasting(scene: Scene, other: Scene) -> Scene:
    """With a seed by which the one person of `other` is pasted."""
    torch.manual_seed(next(s for s in range(99) if torch.manual_seed(s) and torch.rand(1) < 0.5))
    return copy_paste(scene, other)


def test_who_is_hidden_is_dropped_and_who_is_not_touched_keeps_a_box_beyond_the_view():
    other = block_scene(1)
    hidden = only_pasting(block_scene(0), other)
    assert len(hidden.boxes) == 1
    assert (hidden.image_rgb()[hidden.mask_arrays()[0][0] > 0][:, 1] == IMAGES[1]).all()

    apart = block_scene(0)
    (mask,), _ = apart.mask_arrays()
    mask[:] = 0
    mask[:, :10] = 1
    apart.boxes[0] = torch.tensor([-50.0, 0, 10, 80])
    assert only_pasting(apart, other).boxes[0].tolist() == [-50, 0, 10, 80]


def test_who_has_no_mask_is_not_pasted():
    torch.manual_seed(0)
    scene = block_scene(0)
    for _ in range(10):
        both = copy_paste(scene, block_scene(1, masked=False))
        assert torch.equal(both.image, scene.image) and torch.equal(both.boxes, scene.boxes)


def test_who_has_no_mask_stays_behind_the_pasted_unless_covered_altogether():
    covered = only_pasting(block_scene(0, masked=False), block_scene(1))
    assert covered.masked.tolist() == [True] and len(covered.mask_arrays()[0]) == 1

    beside = block_scene(0, masked=False)
    beside.boxes[0, 2] = 71  # one column more than the pasted
    both = only_pasting(beside, block_scene(1))
    assert both.masked.tolist() == [False, True] and len(both.mask_arrays()[0]) == 1
    assert both.boxes.tolist() == [[30, 20, 71, 60], [30, 20, 70, 60]]


def test_ignored_regions_stay_where_people_are_pasted():
    regions = [[0, 0, 110, 80], [1, 2, 3, 4]]
    both = only_pasting(
        block_scene(0, ignored_boxes=regions), block_scene(1, ignored_boxes=[[9] * 4])
    )
    assert both.ignored_boxes.tolist() == regions


def test_a_pasted_person_is_no_ignored_crowd():
    scene = block_scene(0)
    scene.mask_arrays()[1][:] = CROWD
    both = only_pasting(scene, block_scene(1))
    (mask,), ignored = both.mask_arrays()
    np.testing.assert_array_equal(ignored == CROWD, mask == 0)


def test_pasting_nobody_changes_nothing():
    scene = made_scene(3)
    for before, after in zip(scene, copy_paste(scene, make_empty(SIZE, SIZE)), strict=True):
        assert torch.equal(before, after)


def test_copy_paste_names_what_does_not_fit():
    scene = block_scene(0)
    with pytest.raises(ValueError, match=r"\(80, 110\) and \(40, 60\)"):
        copy_paste(scene, make_empty(40, 60))
    with pytest.raises(ValueError, match="has no masks"):
        copy_paste(scene, scene._replace(masks=None, ignored=None))
