"""Choose the people among the detector's anchors."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.repository.settings import FRACTION
from peopleseg.systems.people.contract import SELECT_PEOPLE
from peopleseg.systems.people.selection import select_people
from peopleseg.systems.people.steps.scored import SCORE_FIT, ScoredStep
from peopleseg.systems.step import Arrays


class SelectPeople(ScoredStep):
    model = SELECT_PEOPLE
    settings = {"min_score": FRACTION, "max_iou": FRACTION, "score_fit": SCORE_FIT}

    def compute(
        self,
        wanted: Collection[str],
        *,
        predictions: NDArray[np.float32],
        letterbox: NDArray[np.float32],
        **asked: float,
    ) -> Arrays:
        box = Letterbox.from_array(letterbox)
        return select_people(predictions[0], box, **self.chosen | asked)._asdict()
