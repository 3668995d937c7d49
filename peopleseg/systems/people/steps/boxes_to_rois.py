"""Check the caller's boxes and move them into the square."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.contract import BOXES_TO_ROIS
from peopleseg.systems.people.selection import boxes_to_rois
from peopleseg.systems.step import Arrays, Step


class BoxesToRois(Step):
    model = BOXES_TO_ROIS

    def compute(
        self,
        wanted: Collection[str],
        *,
        boxes: NDArray[np.float32],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        return boxes_to_rois(boxes, Letterbox.from_array(letterbox))._asdict()
