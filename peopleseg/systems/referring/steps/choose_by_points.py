"""Choose whom points mean."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.choosing import by_points, checked_points
from peopleseg.systems.referring.contract import CHOOSE_BY_POINTS
from peopleseg.systems.step import Arrays, Step


class ChooseByPoints(Step):
    model = CHOOSE_BY_POINTS

    def compute(
        self,
        wanted: Collection[str],
        *,
        points: NDArray[np.float32],
        people_boxes: NDArray[np.float32],
        people_scores: NDArray[np.float32],
        people_masks: NDArray[np.uint8],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        asked = checked_points(points, Letterbox.from_array(letterbox))
        return {"choices": by_points(asked, people_boxes, people_scores, people_masks)}
