"""Decode the picture and bring it into the square."""

import numpy as np

from peopleseg.pixels.geometry import Resize
from peopleseg.pixels.images import prepare
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "preprocess"

    def load(self, resize: Resize) -> None:
        self.resize = resize

    def compute(self, image: np.ndarray) -> Arrays:
        prepared = [prepare(data, self.resize) for data in image.reshape(-1)]
        pixels, letterboxes = zip(*prepared, strict=True)
        return {
            "pixels": np.concatenate(pixels),
            "letterbox": np.stack([letterbox.to_array() for letterbox in letterboxes]),
        }
