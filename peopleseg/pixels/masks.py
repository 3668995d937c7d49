"""Masks on a grid over a box, masks in the image, and COCO run-length encoding."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

THRESHOLD = 127.5  # of a probability x 255; above it is person


def target_probability(mask_logits: NDArray[np.floating], shift: float = 0.0) -> NDArray[np.uint8]:
    """(N, 3, h, w) logits of background, target, non-target to (N, h, w) target x 255.

    shift: added to the target's logits; above 0 masks are larger.
    """
    shifts = np.array((0, shift, 0), dtype=mask_logits.dtype)[:, None, None]
    logits = mask_logits + shifts
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    target = 255 * weights[:, 1] / weights.sum(axis=1)
    return np.rint(target).astype(np.uint8)  # type: ignore[no-any-return]


def person_probability(person_logit: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Person logits of any shape to probability x 255."""
    return np.rint(255 / (1 + np.exp(-np.clip(person_logit, -30, 30)))).astype(np.uint8)


def paste_mask(
    mask: NDArray[np.uint8], box_xyxy: NDArray[np.floating], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Put a mask over its box into an image: (h, w) x 255 to (height, width) of 0 and 1.

    Bilinear between the centres of the grid's cells; a pixel belongs to the person when its centre
    lies in the box and its value is above THRESHOLD. box_xyxy: (4,) image pixels.
    """
    height, width = size_hw
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    right, bottom = min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))
    image = np.zeros(size_hw, dtype=np.uint8, order="F")  # as encode_rle reads it
    if right <= left or bottom <= top:
        return image
    rows = _cells_at(np.arange(top, bottom) + 0.5, y1, y2, mask.shape[0])
    columns = _cells_at(np.arange(left, right) + 0.5, x1, x2, mask.shape[1])
    values = resample(mask, rows, columns)
    inside = np.outer(_within(top, bottom, y1, y2), _within(left, right, x1, x2))
    image[top:bottom, left:right] = (values > THRESHOLD) & inside
    return image


def encode_rle(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """(height, width) of 0 and 1 to COCO compressed RLE: size [height, width] and counts."""
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode_rle(rle: dict[str, Any] | bytes | str) -> NDArray[np.uint8]:
    """COCO compressed RLE, as a dictionary or as JSON, to (height, width) of 0 and 1."""
    if not isinstance(rle, dict):
        rle = json.loads(rle)
    return coco_mask.decode(rle)  # type: ignore[no-any-return, arg-type]


def area_of_rle(rle: Mapping[str, Any]) -> int:
    """The number of pixels of a mask that `encode_rle` made."""
    return int(coco_mask.area(rle))


def rles_as_json(rles: Sequence[Mapping[str, Any]]) -> NDArray[np.object_]:
    """(N,) bytes of JSON, one a person: a response's `rles`. `decode_rle` reads each."""
    return np.array([json.dumps(rle).encode() for rle in rles], dtype=np.object_)


def grid_mask(
    mask: NDArray[np.uint8], box_xyxy: NDArray[np.floating], size_hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """An image mask (height, width) read at the centres of a grid's cells over a box: size_hw."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    rows = _cell_pixels(y1, y2, size_hw[0], mask.shape[0])
    columns = _cell_pixels(x1, x2, size_hw[1], mask.shape[1])
    return mask[np.ix_(rows, columns)] > 0


def resample(
    values: NDArray[Any], rows: NDArray[np.floating], columns: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Bilinear values of a map (h, w) at row and column positions, in cells: (rows, columns)."""
    return _interpolate(_interpolate(values.astype(np.float32), rows, axis=0), columns, axis=1)


def _cells_at(
    positions: NDArray[np.floating], low: float, high: float, cells: int
) -> NDArray[np.float32]:
    """Where image positions lie on a grid over [low, high], in cells, clamped to the grid."""
    return np.clip((positions - low) / (high - low) * cells - 0.5, 0, cells - 1).astype(np.float32)


def _cell_centres(low: float, high: float, cells: int) -> NDArray[np.float64]:
    return low + (np.arange(cells) + 0.5) * (high - low) / cells


def _interpolate(
    values: NDArray[np.float32], position: NDArray[np.floating], axis: int
) -> NDArray[np.float32]:
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    weight = np.expand_dims((position - below).astype(np.float32), 1 - axis)
    low, high = values.take(below, axis=axis), values.take(above, axis=axis)
    return low + (high - low) * weight  # type: ignore[no-any-return]


def _within(first: int, last: int, low: float, high: float) -> NDArray[np.bool_]:
    centres = np.arange(first, last) + 0.5
    return (centres >= low) & (centres <= high)


def _cell_pixels(low: float, high: float, cells: int, length: int) -> NDArray[np.int64]:
    return np.clip(np.floor(_cell_centres(low, high, cells)), 0, length - 1).astype(np.int64)
