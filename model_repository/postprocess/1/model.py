"""From mask logits to the people of the image: boxes, scores, masks and RLEs."""

import json

import numpy as np

from peopleseg.answer import people_of
from peopleseg.geometry import Letterbox
from peopleseg.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "postprocess"

    def compute(self, letterbox: np.ndarray, **inputs: np.ndarray) -> Arrays:
        people = people_of(letterbox=Letterbox.from_array(letterbox), **inputs)
        rles = np.array([json.dumps(rle).encode() for rle in people.rles], dtype=np.object_)
        return people._asdict() | {"rles": rles}
