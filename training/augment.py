"""Random views of a training picture: one affine map for image, masks and boxes; flips; colour."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.coco import Picture
from peopleseg.geometry import PAD_VALUE, Letterbox


@dataclass(frozen=True)
class View:
    """An affine map from image pixels to a square canvas (continuous coordinates)."""

    matrix: NDArray[np.float64]  # (2, 3); no rotation, so that boxes stay boxes
    size: int  # side of the canvas, pixels

    def image(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        scale = abs(self.matrix[0, 0])
        # INTER_AREA does not exist for warps: shrink first, as the letterbox does.
        matrix = self.matrix
        if scale < 0.75:
            image_rgb = cv2.resize(
                image_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
            )
            matrix = matrix @ np.diag([1 / scale, 1 / scale, 1])
        return cv2.warpAffine(
            image_rgb,
            _pixel_centres(matrix),
            (self.size, self.size),
            flags=cv2.INTER_LINEAR,
            borderValue=(PAD_VALUE,) * 3,
        )

    def mask(self, mask: NDArray[np.uint8], outside: int = 0) -> NDArray[np.uint8]:
        return cv2.warpAffine(
            mask,
            _pixel_centres(self.matrix),
            (self.size, self.size),
            flags=cv2.INTER_NEAREST,
            borderValue=outside,
        )

    def boxes(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes on the canvas, not clipped."""
        corners = boxes_xyxy.reshape(-1, 2, 2) * np.diag(self.matrix[:, :2]) + self.matrix[:, 2]
        return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1, dtype=np.float32)


def letterbox_view(picture: Picture, size: int) -> View:
    """The view that `Letterbox.apply` gives."""
    box = Letterbox.fit(picture.width, picture.height, size)
    return View(np.array([[box.scale, 0, box.pad_left], [0, box.scale, box.pad_top]]), size)


def random_view(
    picture: Picture, size: int, scales: tuple[float, float], random: np.random.Generator
) -> View:
    """The letterbox view, scaled by a log-uniform factor, moved, flipped half the time."""
    scale = letterbox_view(picture, size).matrix[0, 0] * np.exp(random.uniform(*np.log(scales)))
    width, height = picture.width * scale, picture.height * scale
    # A larger picture moves over the canvas, a smaller one within it.
    left = random.uniform(min(0, size - width), max(0, size - width))
    top = random.uniform(min(0, size - height), max(0, size - height))
    if random.random() < 0.5:
        return View(np.array([[-scale, 0, left + width], [0, scale, top]]), size)
    return View(np.array([[scale, 0, left], [0, scale, top]]), size)


def jitter_colour(image_rgb: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Random gains on hue (1.5 %), saturation (60 %) and value (40 %); grey in one case of 20."""
    gains = 1 + random.uniform(-1, 1, 3) * (0.015, 0.6, 0.4)
    hsv = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2HSV)
    ramp = np.arange(256)
    tables = [
        (ramp * gains[0]) % 180,
        (ramp * gains[1]).clip(0, 255),
        (ramp * gains[2]).clip(0, 255),
    ]
    if random.random() < 0.05:
        tables[1] = np.zeros(256)
    table = np.stack(tables, axis=-1).astype(np.uint8).reshape(1, 256, 3)
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)


def _pixel_centres(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """OpenCV warps put whole numbers at pixel centres, ours at pixel edges: half a pixel off."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    full = np.vstack((matrix, [0, 0, 1]))
    return (np.linalg.inv(half) @ full @ half)[:2]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(height, width, 3), without the EXIF turn, which COCO annotations do not follow either."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image; remove it from the annotations")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
