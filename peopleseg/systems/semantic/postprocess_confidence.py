"""From the confidence map of the square to that of the image sent."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.semantic.contract import CONFIDENCE, POSTPROCESS_CONFIDENCE
from peopleseg.systems.semantic.response import in_image
from peopleseg.systems.step import Arrays, Step


class PostprocessConfidence(Step):
    model = POSTPROCESS_CONFIDENCE

    def compute(
        self,
        wanted: Collection[str],
        *,
        confidence_map: NDArray[np.uint8],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        return {CONFIDENCE.name: in_image(confidence_map[0], Letterbox.from_array(letterbox))}
