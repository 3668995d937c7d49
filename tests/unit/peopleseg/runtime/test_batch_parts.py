"""A batch computed in parts is the batch, in order, whoever computes them."""

import threading

import numpy as np
import pytest

from peopleseg.runtime.batch_parts import BatchParts, slices


@pytest.mark.parametrize("rows", [1, 2, 5, 10, 64])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("most_rows", [1, 4, 64])
def test_slices_hold_every_row_once_and_the_threads_as_many(
    rows: int, threads: int, most_rows: int
) -> None:
    parts = slices(rows, threads, most_rows)
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    sizes = [part.stop - part.start for part in parts]
    assert 1 <= min(sizes) <= max(sizes) <= most_rows and max(sizes) - min(sizes) <= 1
    assert len(parts) >= min(threads, rows) and (len(parts) % threads == 0 or max(sizes) == 1)


def test_a_part_is_not_smaller_than_it_need_be() -> None:
    assert slices(10, 2, 4) == [slice(0, 2), slice(2, 5), slice(5, 7), slice(7, 10)]
    assert slices(5, 1, 8) == [slice(0, 5)]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("most_rows", [None, 0, 1, 4])
def test_parts_make_what_the_whole_does(threads: int, most_rows: int | None) -> None:
    values = np.arange(20).reshape(10, 2)
    doubled, sums = BatchParts(threads).compute(
        lambda rows: [2 * values[rows], values[rows].sum(axis=1)], 10, most_rows=most_rows
    )
    np.testing.assert_array_equal(doubled, 2 * values)
    np.testing.assert_array_equal(sums, values.sum(axis=1))


def test_parts_are_computed_side_by_side() -> None:
    both = threading.Barrier(2, timeout=30)  # breaks unless two wait at once

    def compute(rows: slice) -> list[np.ndarray]:
        both.wait()
        return [np.zeros(rows.stop - rows.start)]

    assert BatchParts(2).compute(compute, 2)[0].shape == (2,)


def test_a_part_that_fails_fails_the_batch() -> None:
    def compute(rows: slice) -> list[np.ndarray]:
        raise ValueError(f"row {rows.start}")

    with pytest.raises(ValueError, match="row 0"):
        BatchParts(2).compute(compute, 2)
