"""Choose the people among the detector's anchors."""

import numpy as np

from peopleseg.geometry import Letterbox
from peopleseg.people import select_people
from peopleseg.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "select_people"

    def load(self, min_score: float, max_iou: float) -> None:
        self.min_score = min_score
        self.max_iou = max_iou

    def compute(self, predictions: np.ndarray, letterbox: np.ndarray) -> Arrays:
        found = select_people(
            predictions[0],
            Letterbox.from_array(letterbox),
            min_score=self.min_score,
            max_iou=self.max_iou,
        )
        return found._asdict()
