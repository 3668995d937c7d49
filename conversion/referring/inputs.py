"""What the referring networks are compared on: parts of real images, where people may be, and made
up texts."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.export.inputs import IMAGES, Case, at_least, reading
from peopleseg.pixels.images import prepare_file
from peopleseg.systems.referring.contract import CROPS, MAX_TOKENS, PEOPLE, TOKEN_MASK, TOKENS
from peopleseg.systems.referring.crops import crop, crop_matrix
from peopleseg.systems.step import Arrays

FEWEST_TOKENS = 29_000  # that a text encoder knows
# In parts of the square: all of it, its middle, the left and the right half.
_BOXES = np.array([[0, 0, 1, 1], [0.3, 0.2, 0.7, 0.9], [0, 0.1, 0.5, 1], [0.5, 0, 1, 0.8]])


@dataclass(frozen=True)
class CropInputs:
    """Crops of `size_hw` pixels."""

    size_hw: tuple[int, int]
    at_once: tuple[int, ...] = (1, 5)

    def cases(self, images: Sequence[Path]) -> Iterator[Case]:
        crops = [one for path in at_least(sum(self.at_once), images) for one in self._crops(path)]
        sizes = itertools.cycle(self.at_once)
        while crops:
            size = next(sizes)
            batch, crops = crops[:size], crops[size:]
            yield Case(IMAGES, {CROPS.name: np.stack(batch)})

    def calibration(self, images: Sequence[Path]) -> list[Arrays]:
        return [{CROPS.name: one[None]} for path in reading(images) for one in self._crops(path)]

    def _crops(self, path: Path) -> list[NDArray[np.uint8]]:
        square = prepare_file(path)[0][0].transpose(1, 2, 0)
        boxes = _BOXES * len(square)
        crops = [crop(square, crop_matrix(box, self.size_hw), self.size_hw) for box in boxes]
        return [np.ascontiguousarray(one.transpose(2, 0, 1)) for one in crops]


@dataclass(frozen=True)
class MadeInputs:
    """Texts and people that are made up: what reads them sees no image."""

    shapes: Mapping[str, Sequence[int]]  # of what the network reads
    at_once: tuple[int, ...] = (1, 5)

    def cases(self, images: Sequence[Path]) -> Iterator[Case]:
        random = np.random.default_rng(0)
        for count in self.at_once:
            yield Case(IMAGES, {name: self._made(name, count, random) for name in self.shapes})

    def calibration(self, images: Sequence[Path]) -> list[Arrays]:
        return [case.inputs for case in self.cases(images)]

    def _made(self, name: str, count: int, random: np.random.Generator) -> NDArray[Any]:
        shape = (count, *self.shapes[name])
        if name == TOKENS.name:
            return random.integers(0, FEWEST_TOKENS, shape)
        if name == TOKEN_MASK.name:  # texts of several lengths
            lengths = random.integers(3, 1 + MAX_TOKENS, (count, 1))
            return (np.arange(MAX_TOKENS) < lengths).astype(np.int64)
        values = random.normal(0, 1, shape).astype(np.float32)
        if name == PEOPLE.name:  # the first number says whether somebody is there
            values[..., 0] = np.arange(shape[1]) < 5
        return values
