"""What a pose network is compared on: parts of real images, where people may be."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.export.inputs import IMAGES, Case, at_least, reading
from peopleseg.pixels.images import prepare_file
from peopleseg.systems.referring.contract import CROPS
from peopleseg.systems.referring.crops import crop, crop_matrix
from peopleseg.systems.step import Arrays

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
