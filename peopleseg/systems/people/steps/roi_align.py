"""Cut the rois out of the pixels, the person logit and the features."""

from collections.abc import Collection
from typing import Any, get_args

from peopleseg.repository.settings import COUNT, SIZE, one_of
from peopleseg.systems.people.roi_align import RoiAligner
from peopleseg.systems.people.roi_sampling import Sampling
from peopleseg.systems.step import Arrays, Step


class RoiAlign(Step):
    name = "roi_align"
    settings = {
        "sampling": one_of(get_args(Sampling)),
        "roi_size_hw": SIZE,
        "feature_size_hw": SIZE,
        "threads": COUNT,
    }

    def __init__(self, **settings: Any) -> None:
        self.aligner = RoiAligner(**settings)

    def compute(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        return self.aligner.align(**inputs, wanted=wanted)._asdict()
