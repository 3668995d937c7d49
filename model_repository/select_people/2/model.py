"""Choose the people among the detector's anchors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from peopleseg.geometry import Letterbox
from peopleseg.people import min_score_of, select_people
from peopleseg.python_step import Arrays, PythonStep
from peopleseg.scores import with_score_fit


class TritonPythonModel(PythonStep):
    name = "select_people"

    def load(self, **settings: Any) -> None:
        self.settings = with_score_fit(settings)

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return min_score_of(parameters)

    def compute(self, predictions: np.ndarray, letterbox: np.ndarray, **asked: float) -> Arrays:
        found = select_people(
            predictions[0], Letterbox.from_array(letterbox), **self.settings | asked
        )
        return found._asdict()
