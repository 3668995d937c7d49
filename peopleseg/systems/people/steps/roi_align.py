"""Cut the rois out of the pixels, the person logit and the features."""

from collections.abc import Collection, Mapping
from typing import Any, get_args

from peopleseg.repository.settings import COUNT, SIZE, one_of
from peopleseg.systems.people.contract import (
    FEATURES,
    PERSON_LOGIT,
    PIXELS,
    ROI_ALIGN,
    ROI_FEATURE_SIZE_HW,
    ROI_FEATURES,
    ROI_LOGIT,
    ROI_RGB,
    ROI_SIZE_HW,
)
from peopleseg.systems.people.roi_align import RoiAligner
from peopleseg.systems.people.roi_sampling import Sampling
from peopleseg.systems.step import Arrays, Shape, Step


class RoiAlign(Step):
    model = ROI_ALIGN
    settings = {
        "sampling": one_of(get_args(Sampling)),
        "roi_size_hw": SIZE,
        "feature_size_hw": SIZE,
        "threads": COUNT,
    }

    @classmethod
    def shapes(cls, settings: Mapping[str, Any], given: Mapping[str, Shape]) -> dict[str, Shape]:
        """Channels of the map that an output is cut from, and its cells; of none, zeros of one."""
        roi = settings.get("roi_size_hw", ROI_SIZE_HW)
        features = settings.get("feature_size_hw", ROI_FEATURE_SIZE_HW)
        sources = {
            ROI_RGB.name: (PIXELS.name, roi),
            ROI_LOGIT.name: (PERSON_LOGIT.name, roi),
            ROI_FEATURES.name: (FEATURES.name, features),
        }
        return {
            made: (-1, given[source][1], *cells) if source in given else (-1, 1, 1, 1)
            for made, (source, cells) in sources.items()
        }

    def __init__(self, **settings: Any) -> None:
        self.aligner = RoiAligner(**settings)

    def compute(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        return self.aligner.align(**inputs, wanted=wanted)._asdict()
