"""Cut the rois out of the pixels, the person logit and the features."""

import numpy as np

from peopleseg.python_step import Arrays, PythonStep
from peopleseg.roi_align import RoiAligner


class TritonPythonModel(PythonStep):
    name = "roi_align"

    def load(self, parameters: dict[str, str]) -> None:
        self.aligner = RoiAligner(threads=int(parameters["intra_op_thread_count"]))

    def compute(self, **inputs: np.ndarray) -> Arrays:
        return self.aligner.align(**inputs)._asdict()
