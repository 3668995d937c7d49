"""Decode the image and bring it into the square."""

from collections.abc import Collection, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import INPUT_SIZE, Resize
from peopleseg.pixels.images import prepare
from peopleseg.repository.settings import COUNT, one_of
from peopleseg.systems.shared.contract import PIXELS, PREPROCESS
from peopleseg.systems.step import Arrays, Shape, Step


class Preprocess(Step):
    """size: side of the square, network pixels."""

    model = PREPROCESS
    settings = {"resize": one_of(get_args(Resize)), "size": COUNT}

    @classmethod
    def shapes(cls, settings: Mapping[str, Any], given: Mapping[str, Shape]) -> dict[str, Shape]:
        size = settings.get("size", INPUT_SIZE)
        return {PIXELS.name: (3, size, size)}

    def __init__(self, resize: Resize = "letterbox", size: int = INPUT_SIZE) -> None:
        self.resize, self.size = resize, size

    def compute(self, wanted: Collection[str], *, image: NDArray[np.object_]) -> Arrays:
        prepared = [prepare(data, self.resize, self.size) for data in image.reshape(-1)]
        pixels, letterboxes = zip(*prepared, strict=True)
        return {
            "pixels": np.concatenate(pixels),
            "letterbox": np.stack([letterbox.to_array() for letterbox in letterboxes]),
        }
