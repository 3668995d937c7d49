"""The steps of the ensemble called one by one in this process: what each takes and moves."""

import time
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.contract import IMAGE
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.pipeline import run
from peopleseg.systems.step import Arrays
from peopleseg.systems.wiring import wiring

ENSEMBLE = "person_segmentation"


class StepRun(NamedTuple):
    """One call of one step."""

    ms: float
    read_bytes: int  # of its input tensors
    written_bytes: int  # of its output tensors


class Stepwise:
    """A pipeline whose steps are timed, in the wiring of its ensemble."""

    def __init__(self, pipeline: PeoplePipeline) -> None:
        self._pipeline = pipeline
        self._wiring = wiring(pipeline.system.ensemble(ENSEMBLE), pipeline.reads)

    def run(self, image: bytes) -> tuple[dict[str, StepRun], Arrays]:
        """Every step of one image, by name, and all tensors of the ensemble."""
        runs: dict[str, StepRun] = {}

        def timed(name: str, wanted: Collection[str], inputs: Arrays) -> Arrays:
            begin = time.perf_counter()
            made = self._pipeline.call_step(name, inputs, wanted)
            ms = 1000 * (time.perf_counter() - begin)
            outputs = {name: made[name] for name in wanted}
            runs[name] = StepRun(ms, _bytes_of(inputs), _bytes_of(outputs))
            return outputs

        tensors = run(self._wiring, {IMAGE.name: bytes_tensor(image)}, timed)
        return runs, tensors


def _bytes_of(tensors: Arrays) -> int:
    return sum(
        sum(map(len, values)) if values.dtype == np.object_ else values.nbytes
        for values in tensors.values()
    )
