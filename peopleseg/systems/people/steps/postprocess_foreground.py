"""From the person logit to a foreground map of the image's size."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.contract import POSTPROCESS_FOREGROUND
from peopleseg.systems.people.response import foreground_of
from peopleseg.systems.step import Arrays, Step


class PostprocessForeground(Step):
    model = POSTPROCESS_FOREGROUND

    def compute(
        self,
        wanted: Collection[str],
        *,
        person_logit: NDArray[np.float32],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        return {"foreground": foreground_of(person_logit[0, 0], Letterbox.from_array(letterbox))}
