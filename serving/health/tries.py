"""How often, and after which waits, something is brought back that fails again and again."""

import time
from collections.abc import Callable

LIMIT = 5
FIRST_WAIT_S = 1.0  # after the first try; twice as long after each further one
PEACE_S = 300.0  # so long after the last try, what fails is a new trouble


class Tries:
    """The tries to bring one thing back: the first at once, and `LIMIT` until there is peace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended = clock()
        self.count = 0

    def are_used_up(self) -> bool:
        self._forget_after_peace()
        return self.count >= LIMIT

    def is_due(self) -> bool:
        """Whether the wait after the last try is over."""
        self._forget_after_peace()
        wait_s = FIRST_WAIT_S * 2 ** (self.count - 1) if self.count else 0.0
        return self._clock() - self._ended >= wait_s

    def begin(self) -> None:
        self.count += 1

    def end(self) -> None:
        """Whether it worked or not: what is brought back may fail again at once."""
        self._ended = self._clock()

    def _forget_after_peace(self) -> None:
        if self._clock() - self._ended > PEACE_S:
            self.count = 0
