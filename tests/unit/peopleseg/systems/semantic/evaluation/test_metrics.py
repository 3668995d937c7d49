"""The metrics of class maps, against a slow version and by what is planted."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.systems.semantic.evaluation.metrics import (
    BOUNDARY_SHARE,
    ENOUGH_IMAGES,
    Confusion,
    boundary,
)

NAMES = ("background", "cat", "dog", "cow")
Map = NDArray[np.uint8]


def maps(seed: int, size_hw: tuple[int, int] = (12, 17), classes: int = 3) -> tuple[Map, Map]:
    """A label map in blocks, with pixels of no known class, and one that is right in most."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, (4, 5), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    true = true[: size_hw[0], : size_hw[1]].copy()
    found = np.where(rng.random(true.shape) < 0.7, true, rng.integers(0, classes, true.shape))
    true[rng.random(true.shape) < 0.1] = UNKNOWN
    return true, found.astype(np.uint8)


def slow_boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask with one outside of it, or of the image, within reach."""
    height, width = mask.shape
    reach = max(1, round(BOUNDARY_SHARE * math.hypot(height, width)))
    found = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        around = [
            0 <= y + dy < height and 0 <= x + dx < width and mask[y + dy, x + dx]
            for dy in range(-reach, reach + 1)
            for dx in range(-reach, reach + 1)
        ]
        found[y, x] = not all(around)
    return found


def slow_ious(pairs: list[tuple[Map, Map]], only_boundary: bool) -> list[float | None]:
    """Of each class over all images, by sets of pixels; None for one without any."""
    ious: list[float | None] = []
    for number in range(len(NAMES)):
        both = either = 0
        for true, found in pairs:
            known = true != UNKNOWN
            masks = [(classes == number) & known for classes in (true, found)]
            if only_boundary:
                masks = [slow_boundary(mask) for mask in masks]
            pixels = [set(zip(*map(list, np.nonzero(mask)), strict=True)) for mask in masks]
            both += len(pixels[0] & pixels[1])
            either += len(pixels[0] | pixels[1])
        ious.append(both / either if either else None)
    return ious


def confusion(pairs: list[tuple[Map, Map]]) -> Confusion:
    total = Confusion(NAMES)
    for true, found in pairs:
        total.add(true, found)
    return total


def test_all_metrics_are_those_of_a_slow_version() -> None:
    pairs = [maps(seed) for seed in range(4)]
    found = confusion(pairs).metrics()
    ious = slow_ious(pairs, only_boundary=False)
    assert ious[3] is None and all(ious[:3])
    present = [iou for iou in ious if iou is not None]
    assert found["miou_present"] == pytest.approx(np.mean(present))
    assert found["miou"] == pytest.approx(sum(present) / 4)
    assert [found[f"iou {name}"] for name in NAMES] == pytest.approx(ious)
    boundaries = [iou for iou in slow_ious(pairs, only_boundary=True) if iou is not None]
    assert found["boundary_iou"] == pytest.approx(np.mean(boundaries))
    known = [(t[t != UNKNOWN], f[t != UNKNOWN]) for t, f in pairs]
    right = np.concatenate([t == f for t, f in known])
    assert found["pixel_accuracy"] == pytest.approx(right.mean())
    assert found["images"] == 4


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 40), (70, 50)])
def test_a_boundary_is_that_of_a_slow_version(size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(size_hw[0])
    blocks = rng.random((1 + size_hw[0] // 9, 1 + size_hw[1] // 9)) < 0.6
    mask = blocks.repeat(9, 0).repeat(9, 1)[: size_hw[0], : size_hw[1]]
    np.testing.assert_array_equal(boundary(mask), slow_boundary(mask))


def test_a_perfect_response_is_1_in_every_metric_and_a_wrong_one_0() -> None:
    true = np.zeros((20, 20), np.uint8)
    true[5:15, 5:15] = 1
    perfect = Confusion.of(true, true, NAMES).metrics()
    for name in ("miou_present", "pixel_accuracy", "boundary_iou", "iou cat"):
        assert perfect[name] == 1
    assert perfect["miou"] == 0.5 and perfect["iou dog"] is None
    wrong = Confusion.of(true, np.uint8(1) - true, NAMES).metrics()
    assert [wrong[name] for name in ("miou_present", "pixel_accuracy", "boundary_iou")] == [0, 0, 0]


def test_pixels_of_no_known_class_count_nowhere() -> None:
    true, found = maps(0)
    before = Confusion.of(true, found, NAMES).metrics()
    found[true == UNKNOWN] = 3
    assert Confusion.of(true, found, NAMES).metrics() == before
    nothing = Confusion.of(np.full((4, 4), UNKNOWN, np.uint8), np.zeros((4, 4), np.uint8), NAMES)
    found_metrics = nothing.metrics()
    assert found_metrics.pop("images") == 1
    assert set(found_metrics.values()) == {None}


def test_a_sum_is_that_of_all_images() -> None:
    pairs = [maps(seed) for seed in range(3)]
    summed = Confusion.of(*pairs[0], NAMES) + Confusion.of(*pairs[1], NAMES)
    summed += Confusion.of(*pairs[2], NAMES)
    together = confusion(pairs)
    assert summed.metrics() == together.metrics()
    np.testing.assert_array_equal(summed.seen_in, together.seen_in)


def test_a_class_that_is_in_few_images_is_not_trusted() -> None:
    total = Confusion(NAMES)
    for number in range(ENOUGH_IMAGES):
        true = np.zeros((2, 2), np.uint8)
        true[0, 0] = 1 if number else 2
        total.add(true, true)
    assert total.seen_in.tolist() == [ENOUGH_IMAGES, ENOUGH_IMAGES - 1, 1, 0]
    expected = {"iou background": 1.0, "iou cat": None, "iou dog": None, "iou cow": None}
    assert total.trusted_ious() == expected


def test_a_response_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the class map is \(3, 2\), the label map \(2, 3\)"):
        Confusion.of(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), NAMES)
