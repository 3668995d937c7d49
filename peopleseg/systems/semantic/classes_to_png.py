"""The class map of the image as a PNG."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.semantic.contract import CLASSES_TO_PNG, PALETTE_PNG
from peopleseg.systems.semantic.palette import palette_png
from peopleseg.systems.step import Arrays, Step


class ClassesToPng(Step):
    model = CLASSES_TO_PNG

    def compute(self, wanted: Collection[str], *, classes: NDArray[np.uint8]) -> Arrays:
        return {PALETTE_PNG.name: bytes_tensor(palette_png(classes))}
