"""The steps of the ensemble called one by one in this process: what each takes and moves."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import rles_as_json
from peopleseg.systems.people.contract import IMAGE
from peopleseg.systems.people.ensembles import HEAD, wiring
from peopleseg.systems.people.pipeline import Arrays, Pipeline
from peopleseg.systems.people.selection import Rois

ENSEMBLE = "person_segmentation"


class StepRun(NamedTuple):
    """One call of one step."""

    ms: float
    read_bytes: int  # of its input tensors
    written_bytes: int  # of its output tensors


class Stepwise:
    """A pipeline as the server calls it: step by step, in the wiring of its ensemble."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._wiring = wiring(ENSEMBLE, pipeline.reads)
        self._functions: dict[str, Callable[..., Arrays]] = {
            "preprocess": self._preprocess,
            "yolov9": pipeline.yolov9,
            "people_unet": lambda **inputs: pipeline.people_unet(**inputs),  # maybe not served
            "select_people": self._select_people,
            "roi_align": self._roi_align,
            HEAD: pipeline.hierarchical_head,
            "postprocess": self._postprocess,
        }

    def run(self, image: bytes) -> tuple[dict[str, StepRun], Arrays]:
        """Every step of one picture, by name, and all tensors of the ensemble."""
        tensors: Arrays = {IMAGE.name: np.array([image], dtype=np.object_)}
        runs = {}
        for step in self._wiring:
            inputs = {own: tensors[shared] for own, shared in step.inputs.items()}
            begin = time.perf_counter()
            made = self._functions[step.model.name](**inputs)
            ms = 1000 * (time.perf_counter() - begin)
            outputs = {shared: made[own] for own, shared in step.outputs.items()}
            tensors |= outputs
            runs[step.model.name] = StepRun(ms, _bytes_of(inputs), _bytes_of(outputs))
        return runs, tensors

    def _preprocess(self, image: NDArray[np.object_]) -> Arrays:
        pixels, letterbox = self._pipeline.prepare(image[0])
        return {"pixels": pixels, "letterbox": letterbox.to_array()[np.newaxis]}

    def _select_people(self, predictions: NDArray[Any], letterbox: NDArray[Any]) -> Arrays:
        found = self._pipeline.select_people(predictions[0], Letterbox.from_array(letterbox))
        return found._asdict()

    def _roi_align(self, rois: NDArray[Any], pixels: NDArray[Any], **maps: NDArray[Any]) -> Arrays:
        given = {"person_logit": None, "features": None} | maps
        pipeline = self._pipeline
        return pipeline.aligner.align(pixels, **given, rois=rois, wanted=pipeline.reads)._asdict()

    def _postprocess(
        self,
        mask_logits: NDArray[Any],
        rois: NDArray[Any],
        scores: NDArray[Any],
        letterbox: NDArray[Any],
    ) -> Arrays:
        box = Letterbox.from_array(letterbox)
        people = self._pipeline.postprocess(mask_logits, Rois(rois, scores), box)
        return people._asdict() | {"rles": rles_as_json(people.rles)}


def _bytes_of(tensors: Arrays) -> int:
    return sum(
        sum(map(len, values)) if values.dtype == np.object_ else values.nbytes
        for values in tensors.values()
    )
