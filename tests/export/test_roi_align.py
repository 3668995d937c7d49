"""The RoIAlign that trains equals the one that serves, and both equal a slow, obvious one."""

import numpy as np
import pytest
import torch

from peopleseg.networks.people.roi_align import align_map, roi_align
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.systems.people.contract import ROI_FEATURE_SIZE_HW, ROI_SIZE_HW
from peopleseg.systems.people.roi_align import RoiAligner
from peopleseg.systems.people.roi_sampling import SAMPLES

SIDE = 64  # network pixels, to keep the test small
ROIS = np.array(
    [
        [1, 3.2, 5.5, 40.1, 61.0],
        [0, 0, 0, SIDE, SIDE],
        [0, 10, 10, 10.5, 10.25],
        [1, -20, -12, 30, 200],
        [0, 50, 1, 63.9, 9],
    ],
    dtype=np.float32,
)


def maps(channels: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, channels, side, side)).astype(np.float32)


def slow_roi_align(
    image: np.ndarray, roi: np.ndarray, size_hw: tuple[int, int], scale: float
) -> np.ndarray:
    """One roi, sample by sample, from the definition."""
    channels, height, width = image.shape
    x1, y1, x2, y2 = roi[1:] * scale - 0.5
    out = np.zeros((channels, *size_hw))
    for row in range(size_hw[0] * SAMPLES):
        for column in range(size_hw[1] * SAMPLES):
            y = y1 + (row + 0.5) / (size_hw[0] * SAMPLES) * (y2 - y1)
            x = x1 + (column + 0.5) / (size_hw[1] * SAMPLES) * (x2 - x1)
            if y < -1 or y > height or x < -1 or x > width:
                continue
            y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = image[:, top, left] * (1 - x + left) + image[:, top, right] * (x - left)
            lower = image[:, bottom, left] * (1 - x + left) + image[:, bottom, right] * (x - left)
            out[:, row // SAMPLES, column // SAMPLES] += upper * (1 - y + top) + lower * (y - top)
    return out / SAMPLES**2


def test_the_one_that_trains_equals_the_definition() -> None:
    image = maps(2, SIDE)
    found = roi_align(torch.from_numpy(image), torch.from_numpy(ROIS), (8, 6)).numpy()
    for roi, aligned in zip(ROIS, found, strict=True):
        expected = slow_roi_align(image[int(roi[0])], roi, (8, 6), 1.0)
        np.testing.assert_allclose(aligned, expected, atol=1e-4)


@pytest.mark.parametrize("side", [80, 52, 13])
def test_the_one_that_trains_equals_the_one_that_serves_on_maps_of_any_grid(side: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    logit, features = maps(1, side), maps(20, side).astype(np.float16)
    rois = ROIS * np.array([1, *[INPUT_SIZE / SIDE] * 4], dtype=np.float32)
    images = torch.empty(2, 3, INPUT_SIZE, INPUT_SIZE)
    served = RoiAligner().align(pixels, logit, features, rois)
    sizes_hw = (ROI_SIZE_HW, ROI_SIZE_HW, ROI_FEATURE_SIZE_HW)
    maps_of: tuple[np.ndarray, ...] = (pixels, logit, features)
    for image, size_hw, cut, atol in zip(
        maps_of, sizes_hw, served, (1e-2, 1e-4, 4e-3), strict=True
    ):
        trained = align_map(torch.from_numpy(image), images, torch.from_numpy(rois), size_hw)
        np.testing.assert_allclose(trained.numpy(), np.asarray(cut, dtype=np.float32), atol=atol)
        of_one = image[int(rois[0, 0])].astype(np.float32)
        expected = slow_roi_align(of_one, rois[0], size_hw, side / INPUT_SIZE)
        np.testing.assert_allclose(trained[0], expected, atol=1e-2)


def test_rois_of_a_batch_equal_rois_alone() -> None:
    images = torch.from_numpy(maps(2, SIDE))
    together = roi_align(images, torch.from_numpy(ROIS), (8, 6))
    for index, roi in enumerate(ROIS):
        alone = roi_align(images, torch.from_numpy(roi[np.newaxis]), (8, 6))
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-5, rtol=0)
