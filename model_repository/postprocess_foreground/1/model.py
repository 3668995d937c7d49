"""From the person logit to a foreground map of the image's size."""

import numpy as np

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.answer import foreground_of
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "postprocess_foreground"

    def compute(self, person_logit: np.ndarray, letterbox: np.ndarray) -> Arrays:
        return {"foreground": foreground_of(person_logit[0, 0], Letterbox.from_array(letterbox))}
