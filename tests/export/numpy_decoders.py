"""What a file's outputs mean, in numpy, anchor by anchor: the decoders are compared with this.

Nothing is shared with `conversion.detectors.decoders`, so that the two do not err alike.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[np.float32]]  # of one image, without the batch axis
# Outputs, the side of the file's input and the class, to (5, anchors): cx, cy, w, h in pixels of
# that input, and the score.
Reference = Callable[[Outputs, int, int], NDArray[np.float32]]


def yolov8(outputs: Outputs, size: int, person: int) -> NDArray[np.float32]:
    (table,) = outputs.values()
    return np.stack([*table[:4], table[4 + person]])


def yolox(outputs: Outputs, size: int, person: int) -> NDArray[np.float32]:
    (table,) = outputs.values()
    found = []
    for values, (stride, row, column) in zip(table, _cells(size, (8, 16, 32)), strict=True):
        x, y, log_width, log_height, objectness = values[:5]
        centre = (column + x) * stride, (row + y) * stride
        sides = stride * np.exp(log_width), stride * np.exp(log_height)
        found.append((*centre, *sides, objectness * values[5 + person]))
    return np.array(found, dtype=np.float32).T


def nanodet(outputs: Outputs, size: int, person: int) -> NDArray[np.float32]:
    tables = sorted(outputs.values(), key=len, reverse=True)  # the finest stride first
    if len(tables) == 1:
        classes = next(n for n in (80, 1) if tables[0].shape[1] - n in (44, 32))
        tables = np.split(tables[0], [classes], axis=1)
    pairs = [sorted(pair, key=_has_bins) for pair in zip(tables[::2], tables[1::2], strict=True)]
    all_scores, all_bins = (np.concatenate(part) for part in zip(*pairs, strict=True))
    strides: tuple[int, ...] = (8, 16, 32)
    middle = 0.5
    if len(all_scores) > len(list(_cells(size, strides))):  # NanoDet-Plus
        strides, middle = (*strides, 64), 0.0
    found = []
    cells = _cells(size, strides)
    for scores, bins, (stride, row, column) in zip(all_scores, all_bins, cells, strict=True):
        of_sides = bins.reshape(4, -1)
        weights = np.exp(of_sides - of_sides.max(axis=1, keepdims=True))
        steps = (weights * np.arange(weights.shape[1])).sum(axis=1) / weights.sum(axis=1)
        left, top, right, bottom = steps * stride
        x, y = (column + middle) * stride, (row + middle) * stride
        box = x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom
        found.append((*box, scores[person]))
    return np.array(found, dtype=np.float32).T


def _has_bins(table: NDArray[np.float32]) -> bool:
    return table.shape[1] in (44, 32)


REFERENCES: dict[str, Reference] = {"nanodet": nanodet, "yolox": yolox, "yolov8": yolov8}


def _cells(size: int, strides: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Stride, row and column of every anchor, in the order of the outputs."""
    for stride in strides:
        side = range(-(-size // stride))
        yield from ((stride, row, column) for row in side for column in side)
