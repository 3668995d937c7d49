"""Threads that ask several systems of one server without pause, and what they were answered."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from peopleseg import SegmentationClient

THREADS = 3
PATIENCE_S = 60.0

Ask = Callable[[SegmentationClient], Any]


class Askers:
    """THREADS of them, each with a client of its own, which asks one thing after the other.

    asks: what is asked, by name. answers: all of each name, in the order in which they came;
    failures: what was raised, which ends the thread.
    """

    def __init__(self, url: str, asks: Mapping[str, Ask]) -> None:
        self.answers: dict[str, list[Any]] = {name: [] for name in asks}
        self.failures: list[BaseException] = []
        self._url, self._asks, self._stopping = url, asks, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(THREADS)]

    def wait_for_more(self, count: int = THREADS) -> None:
        """Until so many more answers of each name have come."""
        wanted = {name: len(answers) + count for name, answers in self.answers.items()}
        deadline = time.monotonic() + PATIENCE_S
        while any(len(self.answers[name]) < least for name, least in wanted.items()):
            assert not self.failures, self.failures
            assert time.monotonic() < deadline, "nobody is answered any more"
            time.sleep(0.01)

    def __enter__(self) -> "Askers":
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if failed is None:
                self.wait_for_more()
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()

    def _ask(self) -> None:
        try:
            with SegmentationClient(self._url) as client:
                while not self._stopping.is_set():
                    for name, ask in self._asks.items():
                        self.answers[name].append(ask(client))
        except BaseException as error:
            self.failures.append(error)
