"""Run several requests as few batches, with one result for each request.

A request is its input arrays by name. Where the model batches, axis 0 of every array is the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]


def run_requests(
    requests: Sequence[Arrays], run: Run, max_batch_size: int
) -> list[Arrays | Exception]:
    """The outputs of each request, or the exception that it alone caused, in the requests' order.

    max_batch_size 0: the model has no batch axis and every request is run by itself. If a merged
    run fails, its requests are run one by one, so that only the bad ones fail.
    """
    results: dict[int, Arrays | Exception] = {}
    for members in plan_batches(requests, max_batch_size):
        batch = [requests[index] for index in members]
        outcomes = _run_together(batch, run) if len(batch) > 1 else None
        if outcomes is None:
            outcomes = [_run_alone(request, run, max_batch_size) for request in batch]
        results.update(zip(members, outcomes, strict=True))
    return [results[index] for index in range(len(requests))]


def plan_batches(requests: Sequence[Arrays], max_batch_size: int) -> list[list[int]]:
    """Indices of the requests that run together: equal but for axis 0, up to max_batch_size."""
    batches: list[list[int]] = []
    open_batches: dict[tuple[Any, ...], tuple[list[int], int]] = {}  # by shapes: members, images
    for index, request in enumerate(requests):
        key = tuple((name, array.dtype, array.shape[1:]) for name, array in sorted(request.items()))
        size = batch_size(request) if max_batch_size > 0 else None
        members, total = open_batches.get(key, ([], 0))
        if size is None or not members or total + size > max_batch_size:
            members, total = [], 0
            batches.append(members)
        members.append(index)
        if size is not None:
            open_batches[key] = (members, total + size)
    return batches


def batch_size(request: Arrays) -> int | None:
    """The common length of axis 0; None if there is none, and the request cannot be merged."""
    sizes = {array.shape[0] if array.ndim else None for array in request.values()}
    return sizes.pop() if len(sizes) == 1 else None


def _run_together(batch: list[Arrays], run: Run) -> list[Arrays | Exception] | None:
    """The outputs of each request of the batch; None if the merged run failed."""
    sizes = [len(next(iter(request.values()))) for request in batch]
    merged = {name: np.concatenate([request[name] for request in batch]) for name in batch[0]}
    try:
        outputs = run(merged)
        _check_batch(outputs, sum(sizes))
    except Exception:  # the runs one by one show whose fault it was, and report it
        return None
    edges = np.cumsum(sizes)[:-1]
    parts = {name: np.split(array, edges) for name, array in outputs.items()}
    return [{name: parts[name][place] for name in parts} for place in range(len(batch))]


def _run_alone(request: Arrays, run: Run, max_batch_size: int) -> Arrays | Exception:
    try:
        outputs = run(request)
        if max_batch_size > 0:
            _check_batch(outputs, batch_size(request))
    except Exception as error:
        return error
    return outputs


def _check_batch(outputs: Arrays, size: int | None) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != size:
            raise ValueError(f"output {name} has shape {array.shape} for a batch of {size}")
