"""What the raw samples say: medians over the rounds, and ratios within the same round."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.speed.load import Slice
from benchmarks.speed.targets import DIRECT, ONE_CALLER


class Spread(NamedTuple):
    """A metric's median over the rounds, its smallest and its largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        listed = list(values)
        return cls(median(listed), min(listed), max(listed))


def groups_of(slices: Sequence[Slice]) -> list[str]:
    """In the order in which they were measured."""
    return list(dict.fromkeys(one.group for one in slices))


def kinds_of(slices: Sequence[Slice]) -> list[tuple[str, int]]:
    """Targets with their callers, in a fixed order: direct first, then by name and callers."""
    kinds = {(one.target, one.callers) for one in slices}
    return sorted(kinds, key=lambda kind: (kind[0] not in DIRECT, kind[0] != ONE_CALLER, *kind))


def of_kind(slices: Sequence[Slice], group: str, target: str, callers: int) -> list[Slice]:
    """One a round, by round."""
    key = (group, target, callers)
    return sorted(
        (one for one in slices if (one.group, one.target, one.callers) == key),
        key=lambda one: one.round,
    )


def rates(slices: Sequence[Slice]) -> Spread:
    """Responses a second, over the rounds."""
    return Spread.of(one.rate for one in slices)


def latencies(slices: Sequence[Slice]) -> Spread | None:
    """Milliseconds: the median of each round, over the rounds. None where nothing was answered."""
    medians = [_latency(one) for one in slices if one.calls_ms]
    return Spread.of(medians) if medians else None


def percentile(slices: Sequence[Slice], percent: float) -> float:
    """Milliseconds, of all calls of all rounds."""
    every = [latency for one in slices for latency in one.latencies_ms]
    return float(np.percentile(every, percent)) if every else float("nan")


def limit(slices: Sequence[Slice], group: str) -> list[Slice]:
    """Of the two ways to call directly, the one with the higher median rate."""
    kinds = [kind for kind in kinds_of(slices) if kind[0] in DIRECT]
    return max(
        (of_kind(slices, group, *kind) for kind in kinds), key=lambda ours: rates(ours).median
    )


def throughput_ratio(ours: Sequence[Slice], theirs: Sequence[Slice]) -> Spread | None:
    """Our rate over theirs, round by round: above 1 is faster."""
    return _ratio(ours, theirs, lambda our, their: our.rate / their.rate)


def latency_ratio(ours: Sequence[Slice], theirs: Sequence[Slice]) -> Spread | None:
    """Their latency over ours, round by round: above 1 is faster."""
    return _ratio(ours, theirs, lambda our, their: _latency(their) / _latency(our))


def spread_text(spread: Spread | None, digits: int = 2) -> str:
    """Median, and from smallest to largest."""
    if spread is None:
        return "-"
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


def _ratio(
    ours: Sequence[Slice], theirs: Sequence[Slice], ratio: Callable[[Slice, Slice], float]
) -> Spread | None:
    pairs = [pair for pair in zip(ours, theirs, strict=True) if all(one.calls_ms for one in pair)]
    return Spread.of(ratio(*pair) for pair in pairs) if pairs else None


def _latency(one: Slice) -> float:
    return median(one.latencies_ms)
