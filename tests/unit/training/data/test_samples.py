"""Samples and batches of them."""

import numpy as np
import pytest
import torch

from tests.data.people_images import people_image
from training.data.images import BrokenImage
from training.data.samples import (
    BACKGROUND,
    IGNORED,
    NON_TARGET,
    PERSON,
    TARGET,
    DetectionSample,
    ForegroundSample,
    RoiSample,
    collate_detection,
    collate_foreground,
    collate_rois,
    detection_sample,
    foreground_sample,
    roi_sample,
)
from training.data.scene import CROWD, OUTSIDE, UNKNOWN, Scene, make_scene

GRID_HW = (12, 8)
SIZE = 100


def scene_of(
    boxes,
    *,
    short_sides_px=None,
    ignored=None,
    size: int = SIZE,
    masked=None,
    ignored_boxes=(),
) -> Scene:
    """People that fill their boxes, from back to front; masked: who has a mask (all)."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    masks = np.zeros((len(boxes), size, size), dtype=np.uint8)
    for index, box in enumerate(boxes.clip(0, size).astype(int)):
        x1, y1, x2, y2 = box
        masks[:index, y1:y2, x1:x2] = 0
        masks[index, y1:y2, x1:x2] = 1
    if short_sides_px is None:
        short_sides_px = [100.0] * len(boxes)
    image = np.zeros((size, size, 3), dtype=np.uint8)
    ignored = np.zeros((size, size), dtype=np.uint8) if ignored is None else ignored
    known = torch.tensor([True] * len(boxes) if masked is None else masked, dtype=torch.bool)
    masks = masks[known.numpy()]
    regions = np.array(ignored_boxes, dtype=np.float32).reshape(-1, 4)
    sides = torch.tensor(short_sides_px)
    return make_scene(image, boxes, sides, masks, ignored[None], known, regions)


def made_scene(seed: int) -> Scene:
    made = people_image(seed, size_hw=(120, 160))
    sides = torch.from_numpy((made.boxes_xyxy[:, 2:] - made.boxes_xyxy[:, :2]).min(axis=1))
    ignored = np.zeros((1, 120, 160), dtype=np.uint8)
    return make_scene(made.image_rgb, made.boxes_xyxy, sides, made.masks, ignored)


# --- rois


@pytest.mark.parametrize("seed", range(8))
def test_label_maps_are_read_cell_by_cell(seed):
    scene = made_scene(seed)
    sample = roi_sample(scene, GRID_HW, None, padding=0.1)
    height, width = scene.size_hw
    usable = [i for i, side in enumerate(scene.short_sides_px) if side >= 16]
    masks, _ = scene.mask_arrays()
    assert len(sample.labels) == len(sample.boxes_xyxy) == len(usable)
    for label, index, box in zip(sample.labels, usable, sample.boxes_xyxy, strict=True):
        x1, y1, x2, y2 = scene.boxes[index].tolist()
        dx, dy = 0.1 * (x2 - x1), 0.1 * (y2 - y1)
        x1, y1 = max(0, x1 - dx), max(0, y1 - dy)
        x2, y2 = min(width, x2 + dx), min(height, y2 + dy)
        np.testing.assert_allclose(box, [x1, y1, x2, y2], rtol=1e-5)
        x1, y1, x2, y2 = box.double().tolist()
        for row in range(GRID_HW[0]):
            for column in range(GRID_HW[1]):
                y = int(y1 + (row + 0.5) * (y2 - y1) / GRID_HW[0])
                x = int(x1 + (column + 0.5) * (x2 - x1) / GRID_HW[1])
                expected = BACKGROUND
                if masks[:, y, x].any():
                    expected = TARGET if masks[index, y, x] else NON_TARGET
                assert label[row, column] == expected


def test_the_first_people_are_taken_or_random_ones():
    scene = scene_of([[10 * i, 0, 10 * i + 9, 90] for i in range(8)])
    first = roi_sample(scene, GRID_HW, 3)
    assert first.boxes_xyxy[:, 0].tolist() == [0, 10, 20]
    chosen = []
    for seed in (1, 1, 2, 3):
        generator = torch.Generator().manual_seed(seed)
        sample = roi_sample(scene, GRID_HW, 3, generator)
        assert (sample.labels == TARGET).all()  # each with its own label map
        chosen.append(sample.boxes_xyxy[:, 0].tolist())
        assert len(set(chosen[-1])) == 3
    assert chosen[0] == chosen[1] and len({tuple(c) for c in chosen}) == 3
    assert len(roi_sample(scene, GRID_HW, None).labels) == 8


def test_the_small_are_no_targets_but_others_to_their_neighbours():
    scene = scene_of([[0, 0, 50, 50], [20, 20, 40, 40]], short_sides_px=[50.0, 15.9])
    sample = roi_sample(scene, (10, 10), None)
    assert len(sample.labels) == 1
    assert (sample.labels[0, 4:8, 4:8] == NON_TARGET).all()
    assert (sample.labels == NON_TARGET).sum() == 16
    assert len(roi_sample(scene._replace(short_sides_px=torch.tensor([50, 16.0])), (10, 10), 9)[2])


def test_a_crowd_is_other_people_and_outside_is_background():
    ignored = np.zeros((SIZE, SIZE), dtype=np.uint8)
    ignored[:10] = CROWD
    ignored[20:30, 20:30] = OUTSIDE
    scene = scene_of([[10, 0, 30, 30]], ignored=ignored)
    scene.mask_arrays()[0][:, :, 20:] = 0
    (label,) = roi_sample(scene, (3, 2), None).labels
    assert label.tolist() == [
        [TARGET, NON_TARGET],
        [TARGET, BACKGROUND],
        [TARGET, BACKGROUND],
    ]


def test_where_somebody_without_a_mask_may_be_is_ignored_unless_a_known_mask_is_there():
    ignored = np.zeros((SIZE, SIZE), dtype=np.uint8)
    ignored[0:40, 20:40] = UNKNOWN  # the box of the first
    boxes = [[20, 0, 40, 40], [0, 0, 40, 40], [30, 0, 40, 40]]
    scene = scene_of(boxes, ignored=ignored, masked=[False, True, True])
    masks, _ = scene.mask_arrays()
    masks[0] = 0
    masks[0, :20, :30] = 1
    first, second = roi_sample(scene, (2, 4), None).labels.tolist()
    assert first == [
        [TARGET, TARGET, TARGET, NON_TARGET],
        [BACKGROUND, BACKGROUND, IGNORED, NON_TARGET],
    ]
    assert second == [[TARGET] * 4] * 2


def test_only_who_has_a_mask_is_a_roi():
    boxes = [[10 * i, 0, 10 * i + 9, 90] for i in range(6)]
    scene = scene_of(boxes, masked=[False, True, True, False, True, True])
    sample = roi_sample(scene, GRID_HW, 3)
    assert sample.boxes_xyxy[:, 0].tolist() == [10, 20, 40]
    assert (sample.labels == TARGET).all()  # each with its own mask
    assert len(roi_sample(scene, GRID_HW, None).labels) == 4
    nobody = scene_of(boxes, masked=[False] * 6)
    assert roi_sample(nobody, GRID_HW, None).labels.shape == (0, *GRID_HW)


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ([-69, 0, 31, 50], True),  # 31 % of it is seen
        ([-71, 0, 29, 50], False),
        ([50, 60, 90, 190], True),
        ([0, 0, 7.9, 60], False),  # too narrow
        ([0, 0, 8.1, 60], True),
        ([110, 0, 150, 50], False),
    ],
)
def test_who_is_hardly_seen_is_no_target(box, kept):
    sample = roi_sample(scene_of([box]), GRID_HW, None)
    assert len(sample.labels) == kept
    if kept:
        np.testing.assert_allclose(sample.boxes_xyxy[0], np.clip(box, 0, SIZE))


def test_padded_and_jittered_boxes_stay_in_the_image_and_keep_their_sense():
    ignored = np.full((SIZE, SIZE), OUTSIDE, dtype=np.uint8)
    ignored[10:90] = 0
    scene = scene_of([[5, 12, 45, 88], [50, 20, 99, 60]], ignored=ignored)
    generator = torch.Generator().manual_seed(0)
    shifts = []
    for _ in range(50):
        boxes = roi_sample(scene, GRID_HW, None, generator, padding=0.1, box_jitter=1.0).boxes_xyxy
        assert (boxes[:, 2:] - boxes[:, :2]).min() > 10
        assert boxes[:, [0, 2]].min() >= 0 and boxes[:, [0, 2]].max() <= SIZE
        assert boxes[:, [1, 3]].min() >= 10 and boxes[:, [1, 3]].max() <= 90
        shifts.append(boxes)
    assert len({tuple(b.flatten().tolist()) for b in shifts}) == 50


def test_the_jitter_has_the_deviation_asked_for():
    scene = scene_of([[300, 300, 500, 700]], size=1000)
    generator = torch.Generator().manual_seed(0)
    boxes = [
        roi_sample(scene, (1, 1), None, generator, box_jitter=0.08).boxes_xyxy for _ in range(300)
    ]
    sides = torch.tensor([200, 400] * 2)
    shifts = (torch.cat(boxes) - scene.boxes.as_subclass(torch.Tensor)) / sides
    torch.testing.assert_close(shifts.std(dim=0), torch.full((4,), 0.08), atol=0.015, rtol=0)


def test_rois_and_foreground_need_masks():
    scene = scene_of([[0, 0, 50, 50]])._replace(masks=None, ignored=None)
    with pytest.raises(ValueError, match="with_masks=True"):
        roi_sample(scene, GRID_HW, None)
    with pytest.raises(ValueError, match="with_masks=True"):
        foreground_sample(scene)


# --- whole images


def test_the_foreground_is_everybody_and_crowds_and_outside_are_ignored():
    ignored = np.zeros((SIZE, SIZE), dtype=np.uint8)
    ignored[:, 40:] = CROWD
    ignored[90:] = OUTSIDE
    sample = foreground_sample(scene_of([[0, 0, 20, 20], [30, 0, 50, 20]], ignored=ignored))
    labels = sample.labels
    assert labels.dtype == torch.uint8 and labels.shape == (SIZE, SIZE)
    assert (labels[:20, :20] == PERSON).all() and (labels[:20, 30:50] == PERSON).all()
    assert (labels[:20, 50:] == IGNORED).all() and (labels[90:] == IGNORED).all()
    assert (labels[20:90, :40] == BACKGROUND).all()
    assert type(sample.image) is torch.Tensor


def test_the_foreground_ignores_where_somebody_without_a_mask_may_be():
    ignored = np.zeros((SIZE, SIZE), dtype=np.uint8)
    ignored[:50, :50] = UNKNOWN
    scene = scene_of([[0, 0, 20, 20], [0, 0, 50, 50]], ignored=ignored, masked=[True, False])
    scene.mask_arrays()[0][0, :20, :20] = 1
    labels = foreground_sample(scene).labels
    assert (labels[:20, :20] == PERSON).all() and (labels == PERSON).sum() == 400
    assert (labels == IGNORED).sum() == 2100 and (labels == BACKGROUND).sum() == 7500


def test_the_detector_gets_the_boxes_that_it_can_find_cut_to_the_view():
    boxes = [[-10, -10, 40, 40], [0, 0, 3.9, 60], [0, 0, 4.1, 60], [-80, 0, 20, 50]]
    for scene in (scene_of(boxes), scene_of(boxes)._replace(masks=None, ignored=None)):
        sample = detection_sample(scene)
        expected = torch.tensor([[0, 0, 40, 40], [0, 0, 4.1, 60]])
        torch.testing.assert_close(sample.boxes_xyxy, expected)
        unfair = torch.tensor([[0, 0, 3.9, 60], [0, 0, 20, 50]])  # what is seen of the others
        torch.testing.assert_close(sample.ignored_xyxy, unfair)
        assert type(sample.boxes_xyxy) is torch.Tensor and type(sample.image) is torch.Tensor


def test_ignored_regions_are_cut_to_the_view_and_left_out_beyond_it():
    scene = scene_of([[0, 0, 40, 40], [-80, 0, -10, 50]], ignored_boxes=[[50, 50, 130, 130]])
    scene_beyond = scene_of([[0, 0, 40, 40]], ignored_boxes=[[110, 50, 130, 90]])
    assert detection_sample(scene).ignored_xyxy.tolist() == [[50, 50, 100, 100]]
    assert detection_sample(scene_beyond).ignored_xyxy.shape == (0, 4)


def test_nobody_in_the_image_is_an_empty_sample():
    nobody = scene_of([])
    assert detection_sample(nobody).boxes_xyxy.shape == (0, 4)
    assert detection_sample(nobody).ignored_xyxy.shape == (0, 4)
    assert not foreground_sample(nobody).labels.any()
    sample = roi_sample(nobody, GRID_HW, 10, torch.Generator(), padding=0.1, box_jitter=0.1)
    assert sample.boxes_xyxy.shape == (0, 4) and sample.labels.shape == (0, *GRID_HW)


# --- batches


def samples(kind: str) -> list:
    scenes = [made_scene(seed) for seed in (3, 0, 4)] + [scene_of([], size=120)]
    square = [
        make_scene(
            s.image_rgb()[:, :120],
            s.boxes.as_subclass(torch.Tensor),
            s.short_sides_px,
            s.mask_arrays()[0][:, :, :120],
            s.mask_arrays()[1][np.newaxis, :, :120],
        )
        for s in scenes
    ]
    make = {
        "detection": detection_sample,
        "foreground": foreground_sample,
        "rois": lambda scene: roi_sample(scene, GRID_HW, 3),
    }[kind]
    made = [make(scene) for scene in square]
    return [made[0], BrokenImage("b.jpg is cut off"), *made[1:]]


def test_a_batch_of_detections_is_its_samples():
    batch = collate_detection(samples("detection"))
    whole = [s for s in samples("detection") if isinstance(s, DetectionSample)]
    assert batch.images.shape == (4, 3, 120, 120) and batch.images.dtype == torch.uint8
    for *parts, sample in zip(
        batch.images, batch.boxes_xyxy, batch.ignored_xyxy, whole, strict=True
    ):
        assert all(torch.equal(*pair) for pair in zip(parts, sample, strict=True))
    assert batch.skipped == ["b.jpg is cut off"]


def test_a_batch_of_foregrounds_is_its_samples():
    batch = collate_foreground(samples("foreground"))
    whole = [s for s in samples("foreground") if isinstance(s, ForegroundSample)]
    for image, labels, sample in zip(batch.images, batch.labels, whole, strict=True):
        assert torch.equal(image, sample.image) and torch.equal(labels, sample.labels)
    assert batch.skipped == ["b.jpg is cut off"]


def test_rois_of_a_batch_know_their_image():
    batch = collate_rois(samples("rois"))
    whole = [s for s in samples("rois") if isinstance(s, RoiSample)]
    assert len(batch.images) == 4 and len(batch.rois) == len(batch.labels) > 0
    assert batch.rois.dtype == torch.float32 and batch.labels.dtype == torch.uint8
    for index, sample in enumerate(whole):
        own = batch.rois[:, 0] == index
        assert torch.equal(batch.rois[own, 1:], sample.boxes_xyxy)
        assert torch.equal(batch.labels[own], sample.labels)
        assert torch.equal(batch.images[index], sample.image)
    assert batch.skipped == ["b.jpg is cut off"]


def test_a_batch_of_broken_images_is_empty_and_names_them():
    broken = [BrokenImage("a.jpg is cut off"), BrokenImage("b.jpg is cut off")]
    for collate in (collate_detection, collate_foreground, collate_rois):
        batch = collate(broken)
        assert len(batch.images) == 0 and len(batch[1]) == 0
        assert batch.skipped == ["a.jpg is cut off", "b.jpg is cut off"]
    assert collate_rois(broken).rois.shape == (0, 5) and len(collate_rois(broken).labels) == 0


def test_a_batch_without_anybody_has_images_and_no_rois():
    nobody = roi_sample(scene_of([]), GRID_HW, 3)
    batch = collate_rois([nobody, nobody])
    assert len(batch.images) == 2
    assert batch.rois.shape == (0, 5) and batch.labels.shape == (0, *GRID_HW)
