"""Cut the rois out of the features."""

from typing import Any

from peopleseg.systems.people.roi_align import FeatureAligner
from peopleseg.systems.python_step import Arrays, PythonStep


class TritonPythonModel(PythonStep):
    name = "roi_align_features"

    def load(self, **settings: Any) -> None:
        self.aligner = FeatureAligner(**settings)

    def compute(self, **inputs: Any) -> Arrays:
        return {"roi_features": self.aligner.align(**inputs)}
