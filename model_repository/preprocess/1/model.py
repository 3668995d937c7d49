"""Decode the picture and letterbox it."""

import numpy as np

from peopleseg.images import prepare
from peopleseg.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "preprocess"

    def compute(self, image: np.ndarray) -> Arrays:
        prepared = [prepare(data) for data in image.reshape(-1)]
        pixels, letterboxes = zip(*prepared, strict=True)
        return {
            "pixels": np.concatenate(pixels),
            "letterbox": np.stack([letterbox.to_array() for letterbox in letterboxes]),
        }
