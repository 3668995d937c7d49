"""Constant load: callers that ask again as soon as they are answered, for a stretch of time."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from peopleseg.client.errors import SegmentationError
from peopleseg.systems.known import STEPS


class Calls(NamedTuple):
    """What happened in a stretch of constant load."""

    seconds: float  # for which all callers were calling
    calls_ms: list[tuple[float, float]]  # begin and end of every answered call since its begin
    failures: dict[str, int]  # calls that failed, by cause


@dataclass(frozen=True)
class Slice:
    """A stretch of load of one kind: the raw sample of a benchmark."""

    target: str  # what was called
    group: str  # what it was asked: people of the images, or rois
    callers: int
    round: int
    seconds: float
    calls_ms: list[tuple[float, float]]
    failures: dict[str, int]

    @property
    def rate(self) -> float:
        """Responses a second.

        A call that lasts beyond the end counts by its part before it: so the metric does not depend
        on how calls and end fall together, though a slice may hold few calls.
        """
        end = 1000 * self.seconds
        parts = (min(1.0, (end - begin) / (until - begin)) for begin, until in self.calls_ms)
        return sum(parts) / self.seconds

    @property
    def latencies_ms(self) -> list[float]:
        return [end - begin for begin, end in self.calls_ms]


class Tally:
    """Counts the calls of one stretch, which begins when this is made."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls_ms: list[tuple[float, float]] = []
        self._failures: Counter[str] = Counter()
        self._turns = itertools.count()
        self._begin = time.perf_counter()

    def turns(self) -> Iterator[int]:
        """The numbers of the calls that one caller makes until time is up."""
        while self._now_ms() < 1000 * self._seconds:
            yield next(self._turns)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call."""
        begin = self._now_ms()
        try:
            yield
        except SegmentationError as error:
            self._failures[cause_of(error)] += 1
        else:
            self._calls_ms.append((round(begin, 3), round(self._now_ms(), 3)))

    def calls(self) -> Calls:
        return Calls(self._seconds, self._calls_ms, dict(self._failures))

    def _now_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._begin)


def drive_threads(call: Callable[[int], object], callers: int, seconds: float) -> Calls:
    """Load by threads of this process. call: takes its number, from 0 on."""
    if callers == 1:  # without a thread of its own: nothing is called more directly
        tally = Tally(seconds)
        _work(call, tally)
        return tally.calls()
    with ThreadPoolExecutor(callers) as pool:
        tally = Tally(seconds)
        for caller in [pool.submit(_work, call, tally) for _ in range(callers)]:
            caller.result()
    return tally.calls()


async def drive_tasks(
    call: Callable[[int], Awaitable[object]], callers: int, seconds: float
) -> Calls:
    """Load by tasks of one event loop. call: takes its number, from 0 on."""
    tally = Tally(seconds)

    async def work() -> None:
        for turn in tally.turns():
            with tally.call():
                await call(turn)

    await asyncio.gather(*(work() for _ in range(callers)))
    return tally.calls()


def cause_of(error: SegmentationError) -> str:
    """A failure's kind and the step that it happened in: the same words for the same cause."""
    steps = [name for name in STEPS if name in str(error)]
    return " in ".join([type(error).__name__, *steps[:1]])


def _work(call: Callable[[int], object], tally: Tally) -> None:
    for turn in tally.turns():
        with tally.call():
            call(turn)
