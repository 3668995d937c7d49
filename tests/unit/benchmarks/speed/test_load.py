"""Constant load, and the rates that its slices say."""

import asyncio
import threading
import time

import pytest

from benchmarks.speed.load import Slice, cause_of, drive_tasks, drive_threads
from peopleseg.client.errors import Overloaded, RequestRejected

SECONDS = 0.2
CALL_S = 0.005


class Counted:
    """A call that notes its numbers, and how many are under way at most."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.most = self._under_way = 0
        self._lock = threading.Lock()

    def enter(self, number: int) -> None:
        with self._lock:
            self.numbers.append(number)
            self._under_way += 1
            self.most = max(self.most, self._under_way)

    def leave(self) -> None:
        with self._lock:
            self._under_way -= 1

    def in_thread(self, number: int) -> None:
        self.enter(number)
        time.sleep(CALL_S)
        self.leave()

    async def in_task(self, number: int) -> None:
        self.enter(number)
        await asyncio.sleep(CALL_S)
        self.leave()


def slice_of(calls_ms: list[tuple[float, float]], seconds: float = 1.0) -> Slice:
    return Slice("server", "1", 1, 0, seconds, calls_ms, {})


@pytest.mark.parametrize("callers", [1, 3])
def test_so_many_threads_call_at_a_time_and_no_call_is_lost(callers: int) -> None:
    counted = Counted()
    calls = drive_threads(counted.in_thread, callers, SECONDS)
    assert counted.most == callers
    assert sorted(counted.numbers) == list(range(len(calls.calls_ms)))
    assert_within(calls.calls_ms)


@pytest.mark.parametrize("callers", [1, 3])
def test_so_many_tasks_call_at_a_time_and_no_call_is_lost(callers: int) -> None:
    counted = Counted()
    calls = asyncio.run(drive_tasks(counted.in_task, callers, SECONDS))
    assert counted.most == callers
    assert sorted(counted.numbers) == list(range(len(calls.calls_ms)))
    assert_within(calls.calls_ms)


def assert_within(calls_ms: list[tuple[float, float]]) -> None:
    """Every call began before the end, and lasted at least as long as it does."""
    assert calls_ms
    for begin, end in calls_ms:
        assert 0 <= begin < 1000 * SECONDS
        assert end - begin >= 900 * CALL_S


def test_failed_calls_are_counted_by_cause_and_not_as_answers() -> None:
    def call(number: int) -> None:
        time.sleep(CALL_S)
        if number % 2:
            raise Overloaded(f"too much: [request {number}] in model 'preprocess', timeout expired")

    calls = drive_threads(call, 1, SECONDS)
    assert list(calls.failures) == ["Overloaded in preprocess"]
    assert abs(calls.failures["Overloaded in preprocess"] - len(calls.calls_ms)) <= 1


def test_an_unexpected_error_of_one_caller_is_not_swallowed() -> None:
    def call(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drive_threads(call, 3, SECONDS)


def test_a_cause_names_the_error_and_the_step() -> None:
    assert cause_of(RequestRejected("roi_align: x")) == "RequestRejected in roi_align"
    assert cause_of(RequestRejected("whatever")) == "RequestRejected"


def test_the_rate_counts_what_lies_within_the_slice() -> None:
    assert slice_of([(0, 100), (100, 200), (200, 1000)]).rate == pytest.approx(3)
    assert slice_of([(0, 500), (500, 1500)]).rate == pytest.approx(1.5)
    assert slice_of([(0, 4000)], seconds=1.0).rate == pytest.approx(0.25)


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 7.77])
def test_the_rate_does_not_depend_on_the_slice_s_length(seconds: float) -> None:
    """Two callers, each call of 100 ms: 20 a second however short the look at it is."""
    starts = [float(begin) for begin in range(0, round(1000 * seconds), 100)]
    calls = [(begin, begin + 100) for begin in starts for _ in range(2)]
    assert slice_of(calls, seconds).rate == pytest.approx(20)
