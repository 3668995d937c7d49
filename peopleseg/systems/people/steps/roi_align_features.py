"""Cut the rois out of the features."""

from collections.abc import Collection
from typing import Any, get_args

from peopleseg.repository.settings import COUNT, FRACTION, SIZE, one_of
from peopleseg.systems.people.roi_align import FeatureAligner
from peopleseg.systems.people.roi_sampling import Sampling
from peopleseg.systems.step import Arrays, Step


class RoiAlignFeatures(Step):
    name = "roi_align_features"
    settings = {
        "sampling": one_of(get_args(Sampling)),
        "feature_size_hw": SIZE,
        "padding": FRACTION,
        "threads": COUNT,
    }

    def __init__(self, **settings: Any) -> None:
        self.aligner = FeatureAligner(**settings)

    def compute(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        return {"roi_features": self.aligner.align(**inputs)}
