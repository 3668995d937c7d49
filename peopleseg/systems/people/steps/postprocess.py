"""From mask logits to the people of the image: boxes, scores, masks and RLEs."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import rles_as_json
from peopleseg.repository.settings import FRACTION, NUMBER
from peopleseg.systems.people.contract import POSTPROCESS
from peopleseg.systems.people.response import people_of
from peopleseg.systems.people.steps.scored import SCORE_FIT, ScoredStep
from peopleseg.systems.step import Arrays


class Postprocess(ScoredStep):
    model = POSTPROCESS
    settings = {
        "min_score": FRACTION,
        "max_mask_iou": FRACTION,
        "score_fit": SCORE_FIT,
        "mask_shift": NUMBER,
    }

    def compute(
        self,
        wanted: Collection[str],
        *,
        mask_logits: NDArray[np.float32],
        presence_logit: NDArray[np.float32] | None,
        rois: NDArray[np.float32],
        scores: NDArray[np.float32],
        letterbox: NDArray[np.float32],
        **asked: float,
    ) -> Arrays:
        box = Letterbox.from_array(letterbox)
        people = people_of(
            mask_logits, rois, scores, box, presence_logit=presence_logit, **self.chosen | asked
        )
        return people._asdict() | {"rles": rles_as_json(people.rles)}
