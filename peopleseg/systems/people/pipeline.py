"""The people system in one process: what the server's responses are compared with."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.people import calls
from peopleseg.systems.people.response import People
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.pipeline import Pipeline


class PeoplePipeline(Pipeline):
    """A `Pipeline` of the people system; its options are those of that class."""

    def __init__(self, model_repository: Path, **options: Any) -> None:
        super().__init__(PEOPLE, model_repository, **options)

    def segment(self, image: bytes, *, min_score: float | None = None) -> People:
        return calls.segment(self, image, min_score=min_score)

    def segment_from_boxes(self, image: bytes, boxes_xyxy: NDArray[np.float32]) -> People:
        return calls.segment_from_boxes(self, image, boxes_xyxy)

    def segment_by_features(self, image: bytes) -> People:
        return calls.segment_by_features(self, image)

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        return calls.foreground(self, image)
