"""The step's other mode is the original DynamicRoIAlign; what nobody reads is not sampled."""

from typing import Any

import numpy as np
import pytest
import torch

from peopleseg.systems.people.roi_align import FeatureAligner, RoiAligner, widened
from peopleseg.systems.people.roi_sampling import MANY_CHANNELS, Sampling, bin_weights, make_sampler
from tests.data.published_pipeline import dynamic_roi_align

SIDE = 64  # network pixels, to keep the test small
INSIDE = [[1, 3.2, 5.5, 40.1, 61.0], [0, 10, 10, 10.5, 10.25], [1, 0.1, 0, 62.9, 9]]
AT_THE_EDGE = [[0, 0, 0, SIDE, SIDE], [1, -20, -12, 30, 200], [0, 50, 63.5, 64, 64]]
ROIS = np.array(INSIDE + AT_THE_EDGE, dtype=np.float32)
STRIDES = [1, 8]  # network pixels a cell

both_ways = pytest.mark.parametrize("sampling", ["half_pixel", "corner_to_corner"])


def maps(channels: int, side: int) -> np.ndarray:
    random = np.random.default_rng(channels)
    return random.normal(size=(2, channels, side, side)).astype(np.float32)


def in_cells(rois: np.ndarray, stride: int) -> np.ndarray:
    return rois / np.array([1, stride, stride, stride, stride], dtype=np.float32)


@pytest.mark.parametrize("size_hw", [(8, 6), (64, 48), (80, 60), (28, 28), (1, 1)])
@pytest.mark.parametrize("stride", STRIDES)
def test_corner_to_corner_is_the_original_with_the_edge_repeated(
    size_hw: tuple[int, int], stride: int
) -> None:
    image = maps(3, SIDE // stride)
    found = make_sampler("corner_to_corner", size_hw)(image, in_cells(ROIS, stride))
    expected = dynamic_roi_align(
        torch.from_numpy(image), torch.from_numpy(ROIS), size_hw, 1 / stride
    )
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_corner_to_corner_differs_from_the_original_at_the_edge_alone() -> None:
    image = maps(3, SIDE)
    found = make_sampler("corner_to_corner", (16, 12))(image, ROIS)
    original = dynamic_roi_align(
        torch.from_numpy(image), torch.from_numpy(ROIS), (16, 12), padding_mode="zeros"
    ).numpy()
    inside = slice(0, len(INSIDE))
    np.testing.assert_allclose(found[inside], original[inside], atol=1e-4)
    whole = len(INSIDE)  # the first at the edge: its last row and column only
    np.testing.assert_allclose(found[whole, :, :-1, :-1], original[whole, :, :-1, :-1], atol=1e-4)
    assert np.abs(original[whole, :, -1]).max() < 1e-4 < np.abs(found[whole, :, -1]).min()


def test_the_corners_of_a_roi_are_sampled_where_they_are() -> None:
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.float32), (1, 1, SIDE, SIDE))
    rois = np.array([[0, 10, 20, 30, 50]], dtype=np.float32)
    sampled = make_sampler("corner_to_corner", (3, 5))(ramp, rois)
    np.testing.assert_allclose(sampled[0, 0], [[10, 15, 20, 25, 30]] * 3, atol=1e-4)


@pytest.mark.parametrize("size_hw", [(8, 6), (32, 24), (28, 28), (1, 1)])
@pytest.mark.parametrize("stride", STRIDES)
def test_many_channels_are_sampled_as_few_are(size_hw: tuple[int, int], stride: int) -> None:
    image = maps(MANY_CHANNELS, SIDE // stride)
    random = np.random.default_rng(0)
    corners = random.uniform(-0.2 * SIDE, 1.2 * SIDE, (40, 2, 2))
    rois = np.zeros((40, 5), dtype=np.float32)
    rois[:, 0] = random.integers(0, 2, 40)
    rois[:, 1:3], rois[:, 3:] = corners.min(axis=1), corners.max(axis=1)
    rois = in_cells(np.concatenate((ROIS, rois)), stride)
    sample = make_sampler("half_pixel", size_hw)
    found = sample(image, rois)
    for first in range(0, MANY_CHANNELS, 4):
        few = np.ascontiguousarray(image[:, first : first + 4])
        np.testing.assert_allclose(found[:, first : first + 4], sample(few, rois), atol=5e-5)


def test_a_bin_reads_the_cells_around_it_in_all_by_one() -> None:
    cells, weights = bin_weights(2.0, 6.0, bins=2, cells=10)
    # Samples at 2.5, 3.5, 4.5 and 5.5 of cells whose centres are at 0.5, 1.5 and so on.
    assert cells == slice(2, 7)
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0, 0, 0], [0, 0, 0.5, 0.5, 0]])
    cells, weights = bin_weights(-30.0, 4.0, bins=4, cells=10)
    assert weights[:3].sum() == 0 and weights[3].sum() == pytest.approx(0.5)


@both_ways
def test_rois_of_several_images_equal_rois_alone(sampling: Sampling) -> None:
    sample = make_sampler(sampling, (8, 6))
    image = maps(4, SIDE)
    together = sample(image, ROIS)
    for roi, found in zip(ROIS, together, strict=True):
        np.testing.assert_allclose(sample(image, roi[np.newaxis])[0], found, atol=1e-6)


@both_ways
def test_what_has_no_map_or_is_not_wanted_is_zeros_of_one_cell(sampling: Sampling) -> None:
    aligner = RoiAligner(sampling, roi_size_hw=[10, 8], feature_size_hw=[5, 4])
    pixels = np.full((1, 3, SIDE, SIDE), 7, dtype=np.uint8)
    logit, features = maps(1, SIDE)[:1], maps(6, 80)[:1].astype(np.float16)
    rois = ROIS * np.array([0, 1, 1, 1, 1], dtype=np.float32)
    count = len(rois)

    def shapes(*arguments: Any) -> list[tuple[int, ...]]:
        return [part.shape for part in aligner.align(*arguments)]

    rgb, one = (count, 3, 10, 8), (count, 1, 1, 1)
    full = [rgb, (count, 1, 10, 8), (count, 6, 5, 4)]
    assert shapes(pixels, logit, features, rois) == full
    assert shapes(pixels, None, None, rois) == [rgb, one, one]
    assert shapes(pixels, logit, None, rois) == [*full[:2], one]
    assert shapes(pixels, logit, features, rois, ["roi_features"]) == [one, one, full[2]]
    alone, together = (
        aligner.align(pixels, None, None, rois),
        aligner.align(pixels, logit, features, rois),
    )
    np.testing.assert_array_equal(alone.roi_rgb, together.roi_rgb)
    assert not alone.roi_features.any() and alone.roi_features.dtype == np.float16


def test_features_are_cut_around_the_widened_roi() -> None:
    features = maps(6, 80).astype(np.float16)
    rois = ROIS[: len(INSIDE)]
    found = FeatureAligner(feature_size_hw=[7, 7], padding=0.25).align(features, rois)
    expected = FeatureAligner(feature_size_hw=[7, 7], padding=0).align(
        features, widened(rois, 0.25)
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(widened(rois, 0.5)[1], [0, 9.75, 9.875, 10.75, 10.375])
    np.testing.assert_array_equal(widened(rois, 0), rois)


def test_a_sampling_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="'nearest'; expected one of half_pixel, corner_to_corner"):
        make_sampler("nearest", (8, 6))  # type: ignore[arg-type]
