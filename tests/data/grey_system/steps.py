"""The Python step of the grey system."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.repository.settings import FRACTION
from peopleseg.systems.step import Arrays, Step

from .contract import GREY, TO_GREY


class ToGrey(Step):
    model = TO_GREY
    settings = {"gain": FRACTION}

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def compute(self, wanted: Collection[str], *, mean_rgb: NDArray[np.float32]) -> Arrays:
        if mean_rgb.min() == 255:
            raise ArithmeticError("white")  # a fault of the step's own
        return {GREY.name: mean_rgb.mean(axis=1) * np.float32(self.gain / 255)}
