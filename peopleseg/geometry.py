"""The one geometry of the project: letterbox and its inverse, for training, serving and clients.

Coordinates are continuous: pixel (column i, row j) covers [i, i+1] x [j, j+1], so an image of width
W spans x from 0 to W. "Network pixels" are those of the letterboxed square.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

INPUT_SIZE = 640  # side of the square that the networks see, network pixels
PAD_VALUE = 114  # grey of the border, as in YOLO's letterbox


@dataclass(frozen=True)
class Letterbox:
    """How an image of width x height lies in the square: network = image * scale + pad."""

    scale: float
    pad_left: int
    pad_top: int
    width: int
    height: int

    @classmethod
    def fit(cls, width: int, height: int, size: int = INPUT_SIZE) -> "Letterbox":
        """The largest centred placement of an image, in pixels, in a square of `size` a side."""
        # float32, because that is how the scale travels between the steps.
        scale = float(np.float32(size / max(width, height)))
        resized_width, resized_height = _resized_wh(width, height, scale)
        return cls(
            scale=scale,
            pad_left=(size - resized_width) // 2,
            pad_top=(size - resized_height) // 2,
            width=width,
            height=height,
        )

    @classmethod
    def from_array(cls, values: NDArray[np.floating]) -> "Letterbox":
        """From the `letterbox` tensor: 5 floats scale, pad_left, pad_top, width, height."""
        scale, pad_left, pad_top, width, height = np.asarray(values).reshape(5).tolist()
        return cls(scale, int(pad_left), int(pad_top), int(width), int(height))

    def to_array(self) -> NDArray[np.float32]:
        """The `letterbox` tensor, (5,) float32."""
        values = (self.scale, self.pad_left, self.pad_top, self.width, self.height)
        return np.array(values, dtype=np.float32)

    def apply(self, image_rgb: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
        """Resize and pad an image (height, width, 3) to (size, size, 3)."""
        square = np.full((size, size, 3), PAD_VALUE, dtype=np.uint8)
        resized = resize(image_rgb, self.scale)
        height, width = resized.shape[:2]
        square[self.pad_top : self.pad_top + height, self.pad_left : self.pad_left + width] = (
            resized
        )
        return square

    def boxes_to_network(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in image pixels to network pixels."""
        return (boxes_xyxy * self.scale + self._pads()).astype(np.float32)

    def boxes_to_image(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in network pixels to image pixels, not clipped to the image."""
        return ((boxes_xyxy - self._pads()) / self.scale).astype(np.float32)

    def clip_to_content(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in network pixels, cut to the part of the square that the image covers."""
        corners = np.array([[0, 0, self.width, self.height]], dtype=np.float32)
        left, top, right, bottom = self.boxes_to_network(corners)[0]
        low, high = np.array([left, top] * 2), np.array([right, bottom] * 2)
        return np.clip(boxes_xyxy, low, high).astype(np.float32)

    def content_slices(self, size: int = INPUT_SIZE) -> tuple[slice, slice]:
        """Rows and columns of the square that the image covers."""
        width, height = _resized_wh(self.width, self.height, self.scale)
        rows = slice(self.pad_top, min(self.pad_top + height, size))
        return rows, slice(self.pad_left, min(self.pad_left + width, size))

    def _pads(self) -> NDArray[np.float32]:
        return np.array([self.pad_left, self.pad_top] * 2, dtype=np.float32)


def clip_boxes(boxes_xyxy: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """(N, 4) xyxy boxes cut to an image of width x height pixels."""
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(boxes_xyxy, 0, limits).astype(np.float32)


def resize(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Scale an image (height, width[, 3]) by exactly `scale` in both directions.

    The size is rounded to whole pixels (at least 1) but the sampling is not stretched to fit it, so
    that one scale describes both axes also in a very narrow image.
    """
    height, width = image.shape[:2]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    if scale == 1:
        return image
    if min(width, height) * scale < 0.5:  # rounds to nothing: keep one row or column
        size_wh = _resized_wh(width, height, scale)
        return cv2.resize(image, size_wh, interpolation=interpolation)  # type: ignore[return-value]
    return cv2.resize(  # type: ignore[return-value]
        image, None, fx=scale, fy=scale, interpolation=interpolation
    )


def _resized_wh(width: int, height: int, scale: float) -> tuple[int, int]:
    # Half to even, like OpenCV's own rounding of the size.
    return max(1, round(width * scale)), max(1, round(height * scale))
