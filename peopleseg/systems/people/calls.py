"""The ensembles of the people system as functions of an encoded image, in one process."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.contract import (
    BOXES,
    FOREGROUND,
    MIN_SCORE_PARAMETER,
    PEOPLE_FOREGROUND,
    PERSON_SEGMENTATION,
    PERSON_SEGMENTATION_FEATURES,
    PERSON_SEGMENTATION_FROM_BOXES,
)
from peopleseg.systems.people.person import Person, people_in, persons
from peopleseg.systems.people.response import People
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays


def segment(pipeline: Pipeline, image: bytes, *, min_score: float | None = None) -> People:
    """Everybody. min_score: that of a request; None for the setting of select_people."""
    parameters = {} if min_score is None else {MIN_SCORE_PARAMETER: min_score}
    return people_in(pipeline.call(PERSON_SEGMENTATION.name, _image(image), parameters))


def segment_from_boxes(pipeline: Pipeline, image: bytes, boxes_xyxy: NDArray[np.float32]) -> People:
    """One mask a box (K, 4) in image pixels."""
    inputs = _image(image) | {BOXES.name: boxes_xyxy}
    return people_in(pipeline.call(PERSON_SEGMENTATION_FROM_BOXES.name, inputs))


def segment_by_features(pipeline: Pipeline, image: bytes) -> People:
    """Everybody, by the mask head that reads the detector's features alone."""
    return people_in(pipeline.call(PERSON_SEGMENTATION_FEATURES.name, _image(image)))


def foreground(pipeline: Pipeline, image: bytes) -> NDArray[np.uint8]:
    """(height, width) person probability x 255."""
    return pipeline.call(PEOPLE_FOREGROUND.name, _image(image))[FOREGROUND.name]


class InProcess:
    """Answers like a SegmentationClient, from a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def segment(self, image: bytes, /, *, min_score: float | None) -> list[Person]:
        return persons(segment(self._pipeline, image, min_score=min_score))

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike, /) -> list[Person]:
        boxes = np.asarray(boxes_xyxy, dtype=np.float32)
        return persons(segment_from_boxes(self._pipeline, image, boxes))

    def foreground(self, image: bytes, /) -> NDArray[np.uint8]:
        return foreground(self._pipeline, image)


def _image(image: bytes) -> Arrays:
    return {IMAGE.name: bytes_tensor(image)}
