import json
import math

import numpy as np
import pytest

from peopleseg.pixels.masks import (
    THRESHOLD,
    decode_rle,
    encode_rle,
    grid_mask,
    paste_mask,
    person_probability,
    resample,
    rles_as_json,
    target_probability,
)

SIZE_HW = (128, 96)


def slow_paste(mask, box_xyxy, size_hw):
    """Every pixel by itself, in plain Python."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    rows, columns = mask.shape
    image = np.zeros(size_hw, dtype=np.uint8)
    for j in range(size_hw[0]):
        for i in range(size_hw[1]):
            x, y = i + 0.5, j + 0.5
            if not (x1 <= x <= x2 and y1 <= y <= y2):
                continue
            u = min(max((x - x1) / (x2 - x1) * columns - 0.5, 0), columns - 1)
            v = min(max((y - y1) / (y2 - y1) * rows - 0.5, 0), rows - 1)
            image[j, i] = slow_bilinear(mask, v, u) > THRESHOLD
    return image


def slow_bilinear(values, v, u):
    top, left = math.floor(v), math.floor(u)
    bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
    a, b = v - top, u - left
    above = values[top, left] * (1 - b) + values[top, right] * b
    below = values[bottom, left] * (1 - b) + values[bottom, right] * b
    return above * (1 - a) + below * a


BOXES = [
    (3, 4, 17, 25),
    (2.3, 1.7, 9.9, 28.2),
    (-8.5, -3, 12, 40),
    (0.6, 0.2, 0.9, 0.4),
    (18, 5, 60, 9),
]


@pytest.mark.parametrize("box", BOXES)
def test_paste_equals_the_slow_obvious_version(box, random):
    # Values away from the threshold, so that rounding in float32 cannot flip a pixel.
    smooth = np.add.outer(np.linspace(0, 3, SIZE_HW[0]), np.linspace(0, 4, SIZE_HW[1]))
    mask = np.where(np.sin(smooth * 2) > 0, 255, 0).astype(np.uint8)
    pasted = paste_mask(mask, np.array(box), (30, 20))
    assert (pasted == slow_paste(mask.astype(np.float64), box, (30, 20))).all()


@pytest.mark.parametrize("box", [(3, 4, 17, 25), (0, 0, 20, 30), (5, 7, 6, 8)])
def test_a_full_mask_covers_exactly_its_box(box):
    pasted = paste_mask(np.full(SIZE_HW, 255, dtype=np.uint8), np.array(box), (30, 20))
    expected = np.zeros((30, 20), dtype=np.uint8)
    expected[box[1] : box[3], box[0] : box[2]] = 1
    assert (pasted == expected).all()


@pytest.mark.parametrize("box", [(-30, -30, -1, -1), (20, 0, 40, 10), (0, 30, 10, 50)])
def test_a_box_outside_pastes_nothing(box):
    assert not paste_mask(np.full(SIZE_HW, 255, dtype=np.uint8), np.array(box), (30, 20)).any()


def test_an_empty_mask_pastes_nothing():
    assert not paste_mask(
        np.zeros(SIZE_HW, dtype=np.uint8), np.array([1, 1, 19, 29]), (30, 20)
    ).any()


def test_a_probability_of_half_is_not_yet_a_person():
    box = np.array([0, 0, 4, 4])
    assert not paste_mask(np.full((8, 8), 127, dtype=np.uint8), box, (4, 4)).any()
    assert paste_mask(np.full((8, 8), 128, dtype=np.uint8), box, (4, 4)).all()


def test_grid_mask_reads_back_what_paste_mask_wrote():
    box = np.array([10.0, 20.0, 10 + 96 * 2, 20 + 128 * 2])
    mask = np.zeros(SIZE_HW, dtype=np.uint8)
    mask[30:90, 20:70] = 255
    grid = grid_mask(paste_mask(mask, box, (300, 240)), box, SIZE_HW)
    assert (grid == (mask > 0)).all()


def test_resample_equals_the_slow_obvious_version(random):
    values = random.uniform(0, 1, (5, 7))
    rows, columns = random.uniform(0, 4, 6), random.uniform(0, 6, 9)
    expected = [[slow_bilinear(values, v, u) for u in columns] for v in rows]
    np.testing.assert_allclose(resample(values, rows, columns), expected, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(1, 1), (4000, 20), (20, 4000), (37, 53)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_rle_round_trip(size_hw, share, random):
    mask = (random.uniform(0, 1, size_hw) < share).astype(np.uint8)
    rle = encode_rle(mask)
    assert rle["size"] == list(size_hw)
    assert (decode_rle(rle) == mask).all()
    assert (decode_rle(json.dumps(rle)) == mask).all()
    assert (decode_rle(json.dumps(rle).encode()) == mask).all()


def test_rles_as_json_are_read_back(random):
    masks = (random.uniform(0, 1, (2, 5, 7)) < 0.5).astype(np.uint8)
    found = rles_as_json([encode_rle(mask) for mask in masks])
    assert found.dtype == np.object_ and all(isinstance(rle, bytes) for rle in found)
    assert (np.array([decode_rle(rle) for rle in found]) == masks).all()
    assert rles_as_json([]).shape == (0,)


def test_a_shift_of_the_target_is_one_of_its_log_odds(random):
    logits = random.normal(0, 2, (3, 3, 5, 4)).astype(np.float32)
    plain, shifted = (target_probability(logits, shift) / 255 for shift in (0.0, 0.7))
    odds = np.exp(0.7) * plain / (1 - plain)
    inside = (plain > 0.01) & (plain < 0.99)
    np.testing.assert_allclose(shifted[inside], (odds / (1 + odds))[inside], atol=0.01)
    assert (target_probability(logits) == target_probability(logits, 0.0)).all()


def test_target_probability_is_the_softmax_of_class_one(random):
    logits = random.normal(0, 4, (3, 3, 4, 5)).astype(np.float32)
    for person, row, column in np.ndindex(3, 4, 5):
        weights = [math.exp(v) for v in logits[person, :, row, column]]
        expected = 255 * weights[1] / sum(weights)
        assert abs(int(target_probability(logits)[person, row, column]) - expected) <= 0.501


def test_person_probability_is_the_sigmoid(random):
    logits = random.normal(0, 4, 100).astype(np.float32)
    expected = [255 / (1 + math.exp(-v)) for v in logits]
    assert np.abs(person_probability(logits) - np.array(expected)).max() <= 0.501


def test_probabilities_of_huge_logits_are_zero_and_one():
    logits = np.array([-1e30, 1e30], dtype=np.float32)
    assert person_probability(logits).tolist() == [0, 255]
    classes = np.array([[1e30, -1e30, 0], [-1e30, 1e30, 0]], dtype=np.float32).reshape(2, 3, 1, 1)
    assert target_probability(classes).ravel().tolist() == [0, 255]


def test_nobody_has_no_masks():
    assert target_probability(np.empty((0, 3, 128, 96), dtype=np.float32)).shape == (0, 128, 96)
