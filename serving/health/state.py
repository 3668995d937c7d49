"""What is wrong with a server now, and what has been done, from the keeper to the sidecar.

Each value is written by one thread and whole at any time.
"""

import time
from collections import Counter

HEALS, RESTARTS, CANARY_FAILURES = "heals", "restarts", "canary_failures"


class State:
    """Of one server that is kept serving."""

    def __init__(self) -> None:
        self.has_started = False
        self.is_stopping = False
        self.counts: Counter[tuple[str, str]] = Counter()  # by what is counted, and of what
        self._troubles: dict[str, str] = {}
        self.changed_at = time.monotonic()  # what was found out before may not be so any more

    @property
    def troubles(self) -> dict[str, str]:
        """Steps, or the server, that are being brought back, and why."""
        return dict(self._troubles)

    def begin(self, what: str, why: str) -> None:
        self._troubles[what] = why
        self.changed_at = time.monotonic()

    def end(self, what: str) -> None:
        self._troubles.pop(what, None)
        self.changed_at = time.monotonic()

    def count(self, what: str, of: str) -> None:
        self.counts[what, of] += 1
