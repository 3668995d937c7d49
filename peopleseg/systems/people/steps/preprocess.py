"""Decode the image and bring it into the square."""

from collections.abc import Collection
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Resize
from peopleseg.pixels.images import prepare
from peopleseg.repository.settings import one_of
from peopleseg.systems.people.contract import PREPROCESS
from peopleseg.systems.step import Arrays, Step


class Preprocess(Step):
    model = PREPROCESS
    settings = {"resize": one_of(get_args(Resize))}

    def __init__(self, resize: Resize = "letterbox") -> None:
        self.resize = resize

    def compute(self, wanted: Collection[str], *, image: NDArray[np.object_]) -> Arrays:
        prepared = [prepare(data, self.resize) for data in image.reshape(-1)]
        pixels, letterboxes = zip(*prepared, strict=True)
        return {
            "pixels": np.concatenate(pixels),
            "letterbox": np.stack([letterbox.to_array() for letterbox in letterboxes]),
        }
