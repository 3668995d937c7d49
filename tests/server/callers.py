"""Clients that call a telling server without pause, and what they were answered."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from tritonclient.grpc import InferenceServerClient

from conversion.release.candidates import request_for
from conversion.release.server import ModelControl
from peopleseg.releases.errors import ControlError
from tests.server.telling import ENSEMBLES_SERVED, IMAGE, expected, told

CLIENTS = 4
PROBE_S = 0.005  # between two requests whether an ensemble is ready


class Call(NamedTuple):
    ensemble: str
    begin: float  # of time.perf_counter
    end: float
    told: dict[str, int]  # step to version; empty when it failed
    failure: str


class Callers:
    """CLIENTS threads, each of which asks one ensemble after the other, and one that probes."""

    def __init__(self, url: str) -> None:
        self.calls: list[Call] = []
        self.not_ready: list[str] = []
        self._url = url
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(CLIENTS)
        ]
        self._threads.append(threading.Thread(target=self._probe))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_calls(self, count: int) -> None:
        """Return when so many more calls have been answered."""
        wanted = len(self.calls) + count
        deadline = time.monotonic() + 60
        while len(self.calls) < wanted:
            assert time.monotonic() < deadline, "the clients are not answered any more"
            time.sleep(0.01)

    def _call(self, number: int) -> None:
        with ModelControl(self._url) as server:
            for turn in range(number, 10**9):
                if self._stopping.is_set():
                    return
                ensemble = ENSEMBLES_SERVED[turn % len(ENSEMBLES_SERVED)]
                begin = time.perf_counter()
                found, failure = {}, ""
                try:
                    found = told(ensemble, server.ask(request_for(ensemble, IMAGE)))
                except ControlError as error:
                    failure = str(error)
                self.calls.append(Call(ensemble, begin, time.perf_counter(), found, failure))

    def _probe(self) -> None:
        with InferenceServerClient(self._url) as server:
            while not self._stopping.wait(PROBE_S):
                for ensemble in ENSEMBLES_SERVED:
                    if not server.is_model_ready(ensemble):
                        self.not_ready.append(ensemble)


@contextmanager
def calling(url: str) -> Iterator[Callers]:
    """Clients that call before, during and after what happens inside."""
    callers = Callers(url)
    callers.start()
    try:
        callers.wait_for_calls(20 * CLIENTS)
        yield callers
        callers.wait_for_calls(20 * CLIENTS)
    finally:
        callers.stop()


def assert_served_whole(callers: Callers, *releases: Mapping[str, int]) -> None:
    """No call failed, none was answered by two releases, each of the releases answered some."""
    assert [call.failure for call in callers.calls if call.failure] == []
    assert callers.not_ready == []
    responses = Counter(release_of(call, releases) for call in callers.calls)
    assert set(responses) == set(range(len(releases))), responses


def release_of(call: Call, releases: Sequence[Mapping[str, int]]) -> int | str:
    """Which of the releases answered; what was told, if it was none."""
    for number, versions in enumerate(releases):
        if call.told == expected(call.ensemble, versions):
            return number
    return f"{call.ensemble}: {call.told}"


def latencies_ms(calls: Sequence[Call]) -> np.ndarray:
    return np.array([call.end - call.begin for call in calls]) * 1000
