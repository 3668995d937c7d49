"""Real requests, canaries, that show which systems answer.

Triton's own word does not: it calls a model ready whose processes are dead, or whose shared memory
is full.
"""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.known import ENSEMBLES, system_of
from serving.control import Version
from serving.errors import NoAnswer
from serving.health.expected import Expected
from serving.health.state import CANARY_FAILURES, State
from serving.server import Server
from serving.shared_memory import why_full

DEADLINE_S = 4.0  # of a canary; compose's health check waits 5
CACHED_S = 1.0  # however many ask, the server has one canary of each system a second
WATCHED_S, FAILING_S = 30.0, 5.0  # between canaries when nobody asks, and while none is answered

_LOG = logging.getLogger(__name__)
Failures = Mapping[str, str | None]


class Canary(NamedTuple):
    """A request to try a system with; without tensors, the question whether the model is ready."""

    system: str
    model: str
    tensors: Mapping[str, NDArray[Any]] | None


@dataclass(frozen=True)
class Report:
    """By system, why it does not answer; None where it does."""

    failures: Failures

    @property
    def is_ready(self) -> bool:
        return bool(self.failures) and not any(self.failures.values())


class Readiness:
    """Which systems of one server answer. May be asked by several threads."""

    def __init__(self, server: Server, expected: Expected, state: State) -> None:
        self._control, self._pool_bytes = server.control, server.stub_memory_bytes
        self._expected, self._state = expected, state
        self._lock = threading.Lock()
        self._report = Report({})
        self._taken_at = float("-inf")
        self._unanswered_since: float | None = None
        self._answered = -1  # requests, as the server counts them

    def report(self) -> Report:
        """As it was found at most `CACHED_S` ago, and after the last change."""
        with self._lock:
            begun = time.monotonic()
            if begun - self._taken_at > CACHED_S or self._taken_at <= self._state.changed_at:
                self._report, self._taken_at = Report(self._failures()), time.monotonic()
                if begun <= self._state.changed_at:  # it changed meanwhile: the next one asks anew
                    self._taken_at = float("-inf")
            return self._report

    def unanswered_s(self) -> float:
        """For how long no canary, and nobody else's request, has been answered."""
        since = self._unanswered_since
        return 0.0 if since is None else time.monotonic() - since

    def watch(self) -> None:
        """Ask from time to time, for ever, in a thread of its own."""
        threading.Thread(target=self._watch, name="canaries", daemon=True).start()

    def begin_anew(self) -> None:
        """Of a server that has just been started."""
        self._unanswered_since, self._answered = None, -1

    def _watch(self) -> None:
        while not self._state.is_stopping:
            time.sleep(WATCHED_S if self._unanswered_since is None else FAILING_S)
            self.report()

    def _failures(self) -> Failures:
        asked: list[Canary]
        failures: dict[str, str | None]
        try:
            self._expected.look()
        except NoAnswer as error:
            asked, failures = [], {"server": str(error)}
        else:
            asked = canaries(self._expected)
            failures = self._ask_all(asked)
        self._tell(failures)
        self._note_answers([canary.model for canary in asked], failures)
        return failures

    def _ask_all(self, asked: list[Canary]) -> dict[str, str | None]:
        full = why_full(self._pool_bytes)  # larger requests fail, though a canary may not
        failures = {canary.system: full for canary in asked}
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            for canary, reason in zip(asked, pool.map(self._ask, asked), strict=True):
                if reason is not None:
                    failures[canary.system] = reason
        return failures

    def _tell(self, failures: Failures) -> None:
        """Count every failure; log what has changed."""
        for system, reason in failures.items():
            before = self._report.failures.get(system)
            if reason is not None:
                self._state.count(CANARY_FAILURES, system)
            if reason is not None and reason != before:
                told = {"event": "canary_failed", "system": system}
                _LOG.warning("%s does not answer: %s", system, reason, extra=told)
            elif reason is None and before is not None:
                told = {"event": "canary_answered", "system": system}
                _LOG.info("%s answers again", system, extra=told)

    def _ask(self, canary: Canary) -> str | None:
        if canary.tensors is None:
            return None if self._control.is_ready(canary.model) else f"{canary.model} is not ready"
        try:
            self._control.ask(canary.model, canary.tensors, DEADLINE_S)
        except NoAnswer as error:
            return f"{canary.model}: {error}"
        return None

    def _note_answers(self, models: list[str], failures: Failures) -> None:
        """A server that is slow because many ask it is at work: it answers others."""
        is_at_work = not failures or not all(failures.values())
        if not is_at_work:
            with suppress(NoAnswer):
                answered = sum(map(self._control.answered, models))
                is_at_work = answered > self._answered >= 0
                self._answered = answered
        if is_at_work:
            self._unanswered_since = None
        elif self._unanswered_since is None:
            self._unanswered_since = time.monotonic()


def canaries(expected: Expected) -> list[Canary]:
    """Of each system as few ensembles as have all of its steps; and the models of no system."""
    ensembles = expected.ensembles()
    covered: set[Version] = set()
    chosen = []
    for name in sorted(ensembles, key=lambda name: -len(ensembles[name])):
        if not ensembles[name] <= covered or not ensembles[name]:
            covered |= ensembles[name]
            tensors = ENSEMBLES[name].sample_inputs(_image())
            chosen.append(Canary(system_of(name).name, name, tensors))
    return [*chosen, *(Canary(name, name, None) for name in expected.others())]


@cache
def _image() -> bytes:
    """Nobody is in it, and every step runs all the same."""
    return bytes(cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes())
