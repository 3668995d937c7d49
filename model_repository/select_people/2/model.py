"""Choose the people among the detector's anchors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.scores import with_score_fit
from peopleseg.systems.people.selection import min_score_of, select_people
from peopleseg.systems.python_step import Arrays, PythonStep


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
