"""Compute a batch in parts, several of them at a time, each on one thread.

A network of small operators gains little from a second thread within each of them, and what a large
batch leaves between its operators no longer fits into a core's cache. Parts that are computed side
by side, and are not larger than they need be, have neither trouble. Nor do they take more memory
than one thread's: what is under way at a time is as much.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The outputs of some rows of the batch, each with these rows as its axis 0.
ComputeRows = Callable[[slice], Sequence[NDArray[Any]]]


class BatchParts:
    """Threads for the parts of a batch; they start when first needed, and wait without spinning."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "batch-part")

    def compute(
        self,
        compute_rows: ComputeRows,
        rows: int,
        *,
        most_rows: int | None = None,
        alone: bool = True,
    ) -> list[NDArray[Any]]:
        """The outputs of all rows, in order; rows >= 1.

        most_rows: under way at a time, of all threads together, each of which has a row at least;
        None for no limit. Every thread gets as many parts as the others, as far as the rows go.
        compute_rows is called in several threads at a time, or, where the CPUs are others'
        too (not `alone`), in the caller's.
        """
        threads = self.threads if alone else 1
        most_of_a_part = rows if most_rows is None else max(1, most_rows // threads)
        parts = slices(rows, threads, most_of_a_part)
        map_parts = self._pool.map if min(threads, len(parts)) > 1 else map
        first, *others = map_parts(compute_rows, parts)
        if not others:
            return list(first)
        return [np.concatenate(of_parts) for of_parts in zip(first, *others, strict=True)]


def slices(rows: int, threads: int, most_rows: int) -> list[slice]:
    """Rows in order, in parts of at most `most_rows`: about equal, and as many for each thread."""
    count = threads * -(-rows // (threads * most_rows))
    edges = [rows * part // count for part in range(count + 1)]
    return [slice(*pair) for pair in zip(edges[:-1], edges[1:], strict=True) if pair[0] < pair[1]]
