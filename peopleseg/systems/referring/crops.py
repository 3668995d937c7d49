"""A crop around a person, as the pose network reads it, and the way back.

Places are in pixels of an image from its outer edge, so that the middle of the first pixel is 0.5;
COCO's keypoints count from that middle.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 1.25  # of the crop's sides, against those of the box in the crop's proportions
TO_EDGE = 0.5  # pixels, from COCO's place of a keypoint to the same from the image's edge


def crop_matrix(
    box_xyxy: Sequence[float],
    size_hw: tuple[int, int],
    scale: float = 1.0,
    shift_xy: Sequence[float] = (0.0, 0.0),
    turn_degrees: float = 0.0,
    mirrored: bool = False,
) -> NDArray[np.float64]:
    """(2, 3): from places in the image to places in the crop of `size_hw` pixels.

    The box lies in its middle, MARGIN around it, in its own proportions. scale: enlarges what is
    seen of the image. shift_xy: moves the crop, in parts of its sides. turn_degrees: clockwise.
    """
    x1, y1, x2, y2 = box_xyxy
    height, width = size_hw
    # In pixels of the image a pixel of the crop.
    side = MARGIN * scale * max((x2 - x1) / width, (y2 - y1) / height, 1e-6)
    centre = (
        np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + np.multiply(shift_xy, [width, height]) * side
    )
    angle = np.deg2rad(turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / side
    if mirrored:
        turn = np.diag([-1.0, 1.0]) @ turn
    offset = np.array([width / 2, height / 2]) - turn @ centre
    return np.hstack((turn, offset[:, None]))


def crop(
    image_rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """(height, width, 3) of the image by a matrix of `crop_matrix`; black outside of the image."""
    image_rgb, matrix = _shrunk(image_rgb, matrix, size_hw)
    by_index = matrix.copy()  # OpenCV counts from the middle of the first pixel
    by_index[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    size_wh = size_hw[::-1]
    return cv2.warpAffine(image_rgb, by_index, size_wh, flags=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _shrunk(
    image_rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of the image that the crop shows, shrunk by a whole number where the crop would
    leave pixels out, and the matrix for it."""
    factor = int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 2:
        return image_rgb, matrix
    height, width = size_hw
    corners = mapped(np.array([[0, 0], [width, 0], [0, height], [width, height]]), inverse(matrix))
    size_xy = np.array(image_rgb.shape[1::-1])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, size_xy - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low + 1, size_xy)
    part = image_rgb[low[1] : high[1], low[0] : high[0]]
    small_wh = np.maximum((high - low) // factor, 1)
    small = cv2.resize(part, tuple(small_wh.tolist()), interpolation=cv2.INTER_AREA)
    shrinks = (high - low) / small_wh  # pixels of the image a pixel of the part, x and y
    linear = matrix[:, :2] * shrinks
    offset = matrix[:, :2] @ low + matrix[:, 2]
    return small, np.hstack((linear, offset[:, None]))  # type: ignore[return-value]


def mapped(places_xy: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (..., 2) by a matrix (2, 3)."""
    return places_xy @ matrix[:, :2].T + matrix[:, 2]


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back."""
    return cv2.invertAffineTransform(matrix)  # type: ignore[return-value]
