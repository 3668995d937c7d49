"""Convolutions of doubled maps, as convolutions of the maps before they are doubled.

Of a map that is twice as high and wide, the places of one phase (even or odd rows, even or odd
columns) are a map of the size before. What a transposed convolution of 2x2 with stride 2 makes of a
phase is a 1x1 convolution. What a 3x3 convolution reads of a phase is, for all phases that it
makes, a 2x2 convolution. Shi et al. 2016 (arXiv:1609.05158) call the like sub-pixel convolution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]


class Phase(NamedTuple):
    """0 for even, 1 for odd."""

    row: int
    column: int

    @property
    def pads(self) -> list[int]:
        """ONNX's, of the 2x2 convolution of this phase: an even place has its neighbour behind."""
        return [*self, *(1 - odd for odd in self)]


PHASES = tuple(Phase(row, column) for row in (0, 1) for column in (0, 1))


def _taps() -> NDArray[np.float32]:
    """[read, made, 2, 3]: 1 where the tap of three of a place of phase `made` is the tap of two
    of the places of phase `read`."""
    taps = np.zeros((2, 2, 2, 3), np.float32)
    for made in (0, 1):
        for tap in range(3):
            place = made + tap - 1
            read = place % 2
            taps[read, made, place // 2 + read, tap] = 1
    return taps


_TAPS = _taps()


def transposed_in_phases(weight: Weights) -> list[Weights]:
    """[I, O, 2, 2] of a transposed convolution to the phases' [O, I, 1, 1]."""
    return [np.ascontiguousarray(weight[:, :, r, c].T[:, :, None, None]) for r, c in PHASES]


def convolution_in_phases(weight: Weights) -> list[Weights]:
    """[O, I, 3, 3] to the phases' [4 O, I, 2, 2], whose sum makes every output's phases in turn."""
    outputs, inputs = weight.shape[:2]
    parts = [
        np.einsum("pud,qve,oide->opqiuv", _TAPS[row], _TAPS[column], weight)
        for row, column in PHASES
    ]
    return [part.reshape(4 * outputs, inputs, 2, 2).astype(np.float32) for part in parts]
