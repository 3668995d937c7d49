"""Check the caller's boxes and move them into the letterboxed square."""

import numpy as np

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.selection import boxes_to_rois
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "boxes_to_rois"

    def compute(self, boxes: np.ndarray, letterbox: np.ndarray) -> Arrays:
        return boxes_to_rois(boxes, Letterbox.from_array(letterbox))._asdict()
