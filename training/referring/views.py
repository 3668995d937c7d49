"""What part of an image is seen in the square, how large and where: pixels, masks and points.

Every random choice is drawn from torch's global generator.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.labels.keypoints import FLIPPED
from peopleseg.pixels.geometry import PAD_VALUE, Letterbox, resize
from training.data.views import uniform, whole_number

Box = tuple[float, float, float, float]  # x1, y1, x2, y2, pixels


@dataclass(frozen=True)
class View:
    """A part of an image at a place in the square: square = (image - corner) * zoom + place."""

    size: int  # of the square, pixels
    image_hw: tuple[int, int]
    rows: slice  # of the image that are seen, and columns
    columns: slice
    zoom: float
    left: int  # where the part begins in the square
    top: int
    flipped: bool = False  # the whole square, at last

    def image(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, S, 3), grey where the image is not."""
        part = np.ascontiguousarray(image_rgb[self.rows, self.columns])
        part = resize(part, self.zoom, self.zoom)
        square = np.full((self.size, self.size, 3), PAD_VALUE, np.uint8)
        inside = square[self.top : self.top + len(part), self.left : self.left + part.shape[1]]
        inside[:] = part[: inside.shape[0], : inside.shape[1]]
        return self._turned(square)

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, S) of an image's mask: the pixel in which the centre of each one lies; 0 outside."""
        rows = self._source(self.rows, self.top)
        columns = self._source(self.columns, self.left)
        square = mask[np.maximum(rows, 0)].take(np.maximum(columns, 0), axis=1)
        square = square * (rows >= 0)[:, None] * (columns >= 0)
        return self._turned(square.astype(np.uint8))

    def points(self, points_xy: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 2) x, y of the image to pixels of the square."""
        corner = np.array((self.columns.start, self.rows.start), np.float32)
        moved = (points_xy - corner) * self.zoom + np.array((self.left, self.top), np.float32)
        if self.flipped:
            moved[..., 0] = self.size - moved[..., 0]
        return moved.astype(np.float32)

    def keypoints(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """(17, 3) x, y, visibility of the image, in the square."""
        points = np.concatenate((self.points(keypoints[:, :2]), keypoints[:, 2:]), axis=1)
        return points[list(FLIPPED)] if self.flipped else points

    def box(self, box_xyxy: Box) -> NDArray[np.float32]:
        """(4,) xyxy in the square, cut to the part of the image that is seen."""
        low = (self.columns.start, self.rows.start)
        high = (self.columns.stop, self.rows.stop)
        ends = np.clip(np.array(box_xyxy, np.float32).reshape(2, 2), low, high)
        corners = self.points(ends)
        return np.concatenate((corners.min(axis=0), corners.max(axis=0)))

    def _source(self, part: slice, place: int) -> NDArray[np.int64]:
        """The row or column of the image at each one of the square; -1 where it is not."""
        found = np.floor((np.arange(self.size) + 0.5 - place) / self.zoom).astype(np.int64)
        found += part.start
        return np.where((found >= part.start) & (found < part.stop), found, -1)

    def _turned(self, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(square[:, ::-1]) if self.flipped else square


def whole_view(size_hw: tuple[int, int], size: int) -> View:
    """The whole image in the middle of the square, as it is served."""
    height, width = size_hw
    box = Letterbox.fit(width, height, size)
    return View(
        size, size_hw, slice(0, height), slice(0, width), box.scale_x, box.pad_left, box.pad_top
    )


def shifted_view(
    size_hw: tuple[int, int], size: int, smallest_scale: float, flip: float = 0.5
) -> View:
    """The whole image, smaller than the square, at any place: all words of place stay true.

    smallest_scale: against the largest image that fits. flip: how often it is mirrored.
    """
    scale = uniform(smallest_scale, 1.0) if smallest_scale < 1 else 1.0
    zoom = float(np.float32(scale * size / max(size_hw)))
    part = slice(0, size_hw[0]), slice(0, size_hw[1])
    return _placed(size_hw, part, zoom, size, flip)


def cut_view(
    size_hw: tuple[int, int],
    size: int,
    kept: Sequence[Box],
    largest_scale: float,
    flip: float = 0.5,
) -> View:
    """A random part of the image that holds boxes entirely, up to so much larger than the whole.

    Where the boxes do not fit into the square at a scale, a smaller one is taken. flip: how often
    it is mirrored.
    """
    boxes = np.array(kept, np.float32)
    low, high = np.floor(boxes[:, 1::-1].min(axis=0)), np.ceil(boxes[:, 3:1:-1].max(axis=0))
    spans = [
        (max(0, int(a)), min(side, max(int(b), int(a) + 1)))
        for a, b, side in zip(low, high, size_hw, strict=True)
    ]
    most = size / max(b - a for a, b in spans)
    least = size / max(size_hw)
    scale = math.exp(uniform(0.0, math.log(max(1.0, largest_scale))))
    zoom = float(np.float32(min(scale * least, most)))
    part = []
    for (first, last), side in zip(spans, size_hw, strict=True):
        length = min(side, max(last - first, int(size / zoom)))
        start = whole_number(max(0, last - length), min(first, side - length))
        part.append(slice(start, start + length))
    return _placed(size_hw, (part[0], part[1]), zoom, size, flip)


def _placed(
    size_hw: tuple[int, int], part: tuple[slice, slice], zoom: float, size: int, flip: float
) -> View:
    """At a random place in the square."""
    flipped = bool(torch.rand(()) < flip)
    shown = [min(size, max(1, round((one.stop - one.start) * zoom))) for one in part]
    top, left = (whole_number(0, size - length) for length in shown)
    return View(size, size_hw, *part, zoom, left, top, flipped)
