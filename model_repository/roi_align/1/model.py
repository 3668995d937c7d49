"""Cut the rois out of the pixels, the person logit and the features."""

from collections.abc import Collection
from typing import Any

from peopleseg.systems.people.roi_align import RoiAligner
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "roi_align"

    def load(self, **settings: Any) -> None:
        self.aligner = RoiAligner(**settings)

    def compute_wanted(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        return self.aligner.align(**inputs, wanted=wanted)._asdict()
