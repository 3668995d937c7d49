"""The one geometry of the project: letterbox and its inverse, for training, serving and clients.

Coordinates are continuous: pixel (column i, row j) covers [i, i+1] x [j, j+1], so an image of width
W spans x from 0 to W. "Network pixels" are those of the square that the networks see.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Resize = Literal["letterbox", "stretch"]  # how a whole image comes into the square

INPUT_SIZE = 640  # side of the square that the networks see, network pixels
PAD_VALUE = 114  # grey of the border, as in YOLO's letterbox


@dataclass(frozen=True)
class Letterbox:
    """How an image of width x height lies in the square: network = image * scale + pad."""

    scale_x: float
    scale_y: float
    pad_left: int
    pad_top: int
    width: int
    height: int

    @classmethod
    def fit(cls, width: int, height: int, size: int = INPUT_SIZE) -> "Letterbox":
        """The largest centred placement of an image, in pixels, in a square of `size` a side."""
        scale = _as_it_travels(size / max(width, height))
        return cls(
            scale_x=scale,
            scale_y=scale,
            pad_left=(size - _resized(width, scale)) // 2,
            pad_top=(size - _resized(height, scale)) // 2,
            width=width,
            height=height,
        )

    @classmethod
    def stretch(cls, width: int, height: int, size: int = INPUT_SIZE) -> "Letterbox":
        """The image over the whole of the square, whatever its proportions."""
        scale_x, scale_y = _as_it_travels(size / width), _as_it_travels(size / height)
        return cls(scale_x, scale_y, pad_left=0, pad_top=0, width=width, height=height)

    @classmethod
    def placed(cls, resize: Resize, width: int, height: int, size: int = INPUT_SIZE) -> "Letterbox":
        """By `fit` or `stretch`. Raises ValueError for another `resize`."""
        places = {"letterbox": cls.fit, "stretch": cls.stretch}
        if resize not in places:
            raise ValueError(f"resize is {resize!r}; expected one of {', '.join(places)}")
        return places[resize](width, height, size)

    @classmethod
    def from_array(cls, values: NDArray[np.floating]) -> "Letterbox":
        """From the `letterbox` tensor: 6 floats, the fields in their order."""
        scale_x, scale_y, *pixels = np.asarray(values).reshape(6).tolist()
        return cls(scale_x, scale_y, *(int(value) for value in pixels))

    def to_array(self) -> NDArray[np.float32]:
        """The `letterbox` tensor, (6,) float32."""
        scales, pads = (self.scale_x, self.scale_y), (self.pad_left, self.pad_top)
        return np.array((*scales, *pads, self.width, self.height), dtype=np.float32)

    def apply(self, image_rgb: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
        """Resize and pad an image (height, width, 3) to (size, size, 3)."""
        square = np.full((size, size, 3), PAD_VALUE, dtype=np.uint8)
        resized = resize(image_rgb, self.scale_x, self.scale_y)
        height, width = resized.shape[:2]
        square[self.pad_top : self.pad_top + height, self.pad_left : self.pad_left + width] = (
            resized
        )
        return square

    def boxes_to_network(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in image pixels to network pixels."""
        return (boxes_xyxy * self._scales() + self._pads()).astype(np.float32)

    def boxes_to_image(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in network pixels to image pixels, not clipped to the image."""
        return ((boxes_xyxy - self._pads()) / self._scales()).astype(np.float32)

    def points_to_image(self, points_xy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 2) x, y in network pixels to image pixels."""
        return ((points_xy - self._pads()[:2]) / self._scales()[:2]).astype(np.float32)

    def clip_to_content(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4) xyxy in network pixels, cut to the part of the square that the image covers."""
        corners = np.array([[0, 0, self.width, self.height]], dtype=np.float32)
        left, top, right, bottom = self.boxes_to_network(corners)[0]
        low, high = np.array([left, top] * 2), np.array([right, bottom] * 2)
        return np.clip(boxes_xyxy, low, high).astype(np.float32)

    def content_slices(self, size: int = INPUT_SIZE) -> tuple[slice, slice]:
        """Rows and columns of the square that the image covers."""
        width = _resized(self.width, self.scale_x)
        height = _resized(self.height, self.scale_y)
        rows = slice(self.pad_top, min(self.pad_top + height, size))
        return rows, slice(self.pad_left, min(self.pad_left + width, size))

    def _scales(self) -> NDArray[np.float32]:
        return np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)

    def _pads(self) -> NDArray[np.float32]:
        return np.array([self.pad_left, self.pad_top] * 2, dtype=np.float32)


def clip_boxes(boxes_xyxy: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """(N, 4) xyxy boxes cut to an image of width x height pixels."""
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(boxes_xyxy, 0, limits).astype(np.float32)


def resize(image: NDArray[np.uint8], scale_x: float, scale_y: float) -> NDArray[np.uint8]:
    """Scale an image (height, width[, 3]) by exactly these scales.

    Bilinear, or by area where both sides shrink. The size is rounded to whole pixels (at least 1)
    but the sampling is not stretched to fit it, so that one scale describes both axes of a
    letterboxed image, also of a very narrow one.
    """
    if scale_x == scale_y == 1:
        return image
    height, width = image.shape[:2]
    interpolation = cv2.INTER_AREA if max(scale_x, scale_y) < 1 else cv2.INTER_LINEAR
    if min(width * scale_x, height * scale_y) < 0.5:  # rounds to nothing: keep one row or column
        size_wh = _resized(width, scale_x), _resized(height, scale_y)
        return cv2.resize(image, size_wh, interpolation=interpolation)  # type: ignore[return-value]
    return cv2.resize(  # type: ignore[return-value]
        image, None, fx=scale_x, fy=scale_y, interpolation=interpolation
    )


def _resized(side: int, scale: float) -> int:
    return max(1, round(side * scale))  # half to even, like OpenCV's own rounding of the size


def _as_it_travels(scale: float) -> float:
    """Rounded to float32, because that is how it goes from step to step."""
    return float(np.float32(scale))
