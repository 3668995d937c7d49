"""Names of colours that nobody would dispute, by ranges of hue, saturation and value.

Ranges leave gaps: what lies in one is surely called so, what lies in none of them widened by a
margin surely is not, and the rest is not sure. White and black things take the colour of the light,
so that their ranges are wide in hue and narrow in the rest.
"""

import colorsys
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Range(NamedTuple):
    """Hue in degrees, from low to high, may pass 360; saturation and value from 0 to 1."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


class Shares(NamedTuple):
    """Of some pixels, the share that is surely called by a name, and that might be."""

    sure: float
    possible: float


ANY_HUE = (0.0, 360.0)
RANGES: dict[str, tuple[Range, ...]] = {
    "black": (Range(ANY_HUE, (0, 0.35), (0, 0.2)), Range(ANY_HUE, (0, 1), (0, 0.1))),
    "white": (Range(ANY_HUE, (0, 0.1), (0.82, 1)),),
    "gray": (Range(ANY_HUE, (0, 0.1), (0.36, 0.64)),),
    "red": (Range((348, 368), (0.65, 1), (0.4, 1)),),
    "orange": (Range((18, 34), (0.75, 1), (0.75, 1)),),
    "yellow": (Range((46, 62), (0.55, 1), (0.7, 1)),),
    "green": (Range((85, 160), (0.35, 1), (0.25, 1)),),
    "blue": (Range((205, 245), (0.45, 1), (0.3, 1)),),
    "purple": (Range((265, 295), (0.3, 1), (0.25, 1)),),
    "pink": (Range((320, 350), (0.25, 0.6), (0.75, 1)),),
    "brown": (Range((12, 34), (0.4, 0.8), (0.25, 0.5)),),
}
HUE_MARGIN, MARGIN = 20.0, 0.2  # by how much a range is widened: degrees; saturation and value
# Hues of pixels with less colour or light than this are noise: they say nothing against a name.
LEAST_CHROMA = 0.12


@lru_cache(maxsize=4096)
def colour_name(rgb: tuple[int, int, int]) -> str | None:
    """The name of a colour (0 to 255), or None where it has no clear one."""
    found = [
        name for name, ranges in RANGES.items() if any(_fits(rgb, one, 0, 0) for one in ranges)
    ]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=16384)
def may_be(rgb: tuple[int, int, int], name: str) -> bool:
    """Whether somebody might call a colour so."""
    return any(_fits(rgb, one, HUE_MARGIN, MARGIN) for one in RANGES[name])


def colour_shares(pixels_rgb: NDArray[np.uint8]) -> dict[str, Shares]:
    """Of pixels (N, 3), by name. A pixel may count for several names, or for none."""
    coarse = (pixels_rgb >> 4).astype(np.int64) @ (256, 16, 1)
    weights = np.bincount(coarse, minlength=16**3) / max(1, len(pixels_rgb))
    sure, possible = _named()
    return {
        name: Shares(float(weights[sure[row]].sum()), float(weights[possible[row]].sum()))
        for row, name in enumerate(RANGES)
    }


@cache
def _named() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(names, 4096) each: whether colours in steps of 16 are surely, or may be, called so."""
    steps = range(8, 256, 16)
    colours = [(red, green, blue) for red in steps for green in steps for blue in steps]
    names = [colour_name(colour) for colour in colours]
    sure = np.array([[name == one for name in names] for one in RANGES])
    return sure, np.array([[may_be(colour, one) for colour in colours] for one in RANGES])


def _fits(rgb: tuple[int, int, int], within: Range, hue_margin: float, margin: float) -> bool:
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    low, high = within.saturation
    if not low - margin <= saturation <= high + margin:
        return False
    if not within.value[0] - margin <= value <= within.value[1] + margin:
        return False
    if within.hue == ANY_HUE or (hue_margin > 0 and saturation * value < LEAST_CHROMA):
        return True
    start, end = within.hue[0] - hue_margin, within.hue[1] + hue_margin
    return (hue * 360 - start) % 360 <= end - start
