"""Cut the rois out of the features."""

from collections.abc import Collection, Mapping
from typing import Any, get_args

from peopleseg.repository.settings import COUNT, FRACTION, SIZE, one_of
from peopleseg.systems.people.contract import FEATURES, ROI_ALIGN_FEATURES, ROI_FEATURES
from peopleseg.systems.people.roi_align import FEATURE_HEAD_SIZE_HW, FeatureAligner
from peopleseg.systems.people.roi_sampling import Sampling
from peopleseg.systems.step import Arrays, Shape, Step


class RoiAlignFeatures(Step):
    model = ROI_ALIGN_FEATURES
    settings = {
        "sampling": one_of(get_args(Sampling)),
        "feature_size_hw": SIZE,
        "padding": FRACTION,
        "threads": COUNT,
    }

    @classmethod
    def shapes(cls, settings: Mapping[str, Any], given: Mapping[str, Shape]) -> dict[str, Shape]:
        cells = settings.get("feature_size_hw", FEATURE_HEAD_SIZE_HW)
        return {ROI_FEATURES.name: (-1, given[FEATURES.name][1], *cells)}

    def __init__(self, **settings: Any) -> None:
        self.aligner = FeatureAligner(**settings)

    def compute(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        return {ROI_FEATURES.name: self.aligner.align(**inputs)}
