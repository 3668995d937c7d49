"""Choose the people among the detector's anchors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from peopleseg.contract import MIN_SCORE_PARAMETER
from peopleseg.geometry import Letterbox
from peopleseg.people import requested_min_score, select_people
from peopleseg.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "select_people"

    def load(self, min_score: float, max_iou: float) -> None:
        self.min_score = min_score
        self.max_iou = max_iou

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if MIN_SCORE_PARAMETER not in parameters:
            return {}
        return {"min_score": requested_min_score(parameters[MIN_SCORE_PARAMETER])}

    def compute(
        self, predictions: np.ndarray, letterbox: np.ndarray, min_score: float | None = None
    ) -> Arrays:
        found = select_people(
            predictions[0],
            Letterbox.from_array(letterbox),
            min_score=self.min_score if min_score is None else min_score,
            max_iou=self.max_iou,
        )
        return found._asdict()
