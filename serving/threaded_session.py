"""A graph that computes with as many threads as help: all of its own, or one beside others."""

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from peopleseg.runtime.batch_parts import BatchParts
from peopleseg.runtime.shared_processors import SharedProcessors
from serving.request_batching import Arrays, batch_size

# What is read at most by the parts of a batch that are computed at a time: one image, or ten
# rois. More takes a CPU longer an image, because what one operator leaves for the next no
# longer fits into its cache, and memory that a process does not give back.
AT_A_TIME_BYTES = 3_000_000

OpenSession = Callable[[int], onnxruntime.InferenceSession]  # for so many threads


class ThreadedSession:
    """Sessions of one graph on CPUs: `whole` with all threads, and one for a thread alone.

    A batch is shared out over the threads, its parts computed side by side; so are not the rows of
    a graph without a batch axis.
    """

    def __init__(
        self,
        open_session: OpenSession,
        threads: int,
        *,
        batches: bool,
        processors: SharedProcessors,
    ) -> None:
        self.whole = open_session(threads)
        self._single = self.whole if threads == 1 else open_session(1)
        self._batches, self._processors = batches, processors
        self._parts = BatchParts(threads)

    def run(self, names: Sequence[str], inputs: Arrays) -> Arrays:
        """The outputs of these names. Raises what ONNX Runtime does."""
        if self._single is self.whole:
            return self._run(names, inputs, alone=False)
        with self._processors.computing() as alone:
            return self._run(names, inputs, alone)

    def _run(self, names: Sequence[str], inputs: Arrays, alone: bool) -> Arrays:
        rows = batch_size(inputs) if self._batches else None
        if not rows or rows == 1:
            session = self.whole if alone else self._single
            return dict(zip(names, session.run(names, inputs), strict=True))

        def run_rows(part: slice) -> list[NDArray[Any]]:
            return self._single.run(names, {name: array[part] for name, array in inputs.items()})

        row_bytes = sum(array.nbytes for array in inputs.values()) // rows
        most_rows = AT_A_TIME_BYTES // max(1, row_bytes)
        outputs = self._parts.compute(run_rows, rows, most_rows=most_rows, alone=alone)
        return dict(zip(names, outputs, strict=True))
