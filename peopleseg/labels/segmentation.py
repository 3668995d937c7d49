"""COCO's forms of a mask: checked once, before pycocotools' C code sees them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.numbers import is_number

FEWEST_NUMBERS = 6  # of a polygon: three points
MARGIN = 1.0  # by how many times its size a polygon may reach beyond the image
_SHOWN = 40  # characters of a value in a message


def fault(segmentation: Any, height: int, width: int) -> str | None:
    """Why a value is no polygons or RLE of an image of that size; None where it is.

    pycocotools takes memory by a polygon's coordinates and loops over an RLE that is too short,
    so both are held to the image.
    """
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, height, width)
    if not isinstance(segmentation, list):
        return f"segmentation is {_short(segmentation)}, expected polygons or an RLE"
    for polygon in segmentation:
        if reason := _polygon_fault(polygon, height, width):
            return reason
    return None


def decode(segmentation: Any, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width) of 0 and 1, of a segmentation without a fault."""
    from pycocotools import mask as coco_mask

    rle = segmentation
    if isinstance(rle, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(rle, height, width))
    elif isinstance(rle["counts"], list):
        counts = [int(count) for count in rle["counts"]]
        rle = coco_mask.frPyObjects({**rle, "counts": counts}, height, width)
    return coco_mask.decode(rle)  # type: ignore[no-any-return]


def _polygon_fault(polygon: Any, height: int, width: int) -> str | None:
    if not isinstance(polygon, list):
        return f"segmentation holds {_short(polygon)}, expected a list of x, y, x, y ... each"
    if len(polygon) < FEWEST_NUMBERS or len(polygon) % 2:
        return f"a polygon has {len(polygon)} numbers, expected x and y of at least three points"
    for value in polygon:
        if not is_number(value):
            return f"a polygon holds {_short(value)}, expected finite numbers"
    for values, size, side in ((polygon[::2], width, "wide"), (polygon[1::2], height, "high")):
        low, high = min(values), max(values)
        if low < -MARGIN * size or high > (1 + MARGIN) * size or high <= 0 or low >= size:
            return f"a polygon reaches from {low:g} to {high:g} in an image {size} pixels {side}"
    return None


def _rle_fault(rle: dict[str, Any], height: int, width: int) -> str | None:
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        given = "no size" if size is None else f"the size {_short(size)}"
        return f"an RLE has {given}, expected [height, width] of its image, [{height}, {width}]"
    if isinstance(counts, str):
        runs: Sequence[Any] | None = _runs(counts)
    else:
        runs = counts if isinstance(counts, list) else None
    if runs is None:
        return f"an RLE has the counts {_short(counts)}, expected a list or COCO's text"
    if not all(is_number(run) and run >= 0 and run == int(run) for run in runs):
        return "an RLE's counts are not whole numbers from 0 on"
    if (pixels := int(sum(runs))) != height * width:
        return f"an RLE's counts add up to {pixels} pixels, the image has {height * width}"
    return None


def _runs(text: str) -> list[int] | None:
    """The counts of COCO's compressed RLE: base 32 from 48 on, differences from the fourth on."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:  # the last digit of a number; its fifth bit is the sign
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return None if shift else runs


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
