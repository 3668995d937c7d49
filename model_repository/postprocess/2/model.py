"""From mask logits to the people of the image: boxes, scores, masks and RLEs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import rles_as_json
from peopleseg.systems.people.answer import people_of
from peopleseg.systems.people.scores import with_score_fit
from peopleseg.systems.people.selection import min_score_of
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "postprocess"

    def load(self, **settings: Any) -> None:
        self.settings = with_score_fit(settings)

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return min_score_of(parameters)

    def compute(
        self,
        mask_logits: np.ndarray,
        rois: np.ndarray,
        scores: np.ndarray,
        letterbox: np.ndarray,
        **asked: float,
    ) -> Arrays:
        people = people_of(
            mask_logits, rois, scores, Letterbox.from_array(letterbox), **self.settings | asked
        )
        return people._asdict() | {"rles": rles_as_json(people.rles)}
