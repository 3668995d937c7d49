"""Choose the people among the detector's anchors."""

import numpy as np

from peopleseg.geometry import Letterbox
from peopleseg.people import select_people
from peopleseg.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "select_people"

    def load(self, parameters: dict[str, str]) -> None:
        self.min_score = float(parameters["min_score"])
        self.max_iou = float(parameters["max_iou"])

    def compute(self, predictions: np.ndarray, letterbox: np.ndarray) -> Arrays:
        found = select_people(
            predictions[0],
            Letterbox.from_array(letterbox),
            min_score=self.min_score,
            max_iou=self.max_iou,
        )
        return found._asdict()
