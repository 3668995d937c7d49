"""Whether an instance has its server's CPUs to itself.

The networks of a server are processes of their own. One that computes alone is the sooner done the
more threads it has; where several compute, each is done soonest with one: threads that wait for one
another, for CPUs that others have, cost more than they bring.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COMPUTING_FILE = "PEOPLESEG_COMPUTING_FILE"  # environment variable; unset: nobody else is known of


class SharedProcessors:
    """A file that every instance of a server locks, shared with the others, while it computes.

    The lock is the kernel's: a process that is killed has let go of it.
    """

    def __init__(self, path: Path | None) -> None:
        """path: made if it is not there; None for CPUs that nobody else is known to use."""
        self._file = None if path is None else os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)

    @classmethod
    def of_this_server(cls, environment: Mapping[str, str] = os.environ) -> "SharedProcessors":
        """Those of the server that started this process."""
        path = environment.get(COMPUTING_FILE)
        return cls(Path(path) if path else None)

    @contextmanager
    def computing(self) -> Iterator[bool]:
        """Around a computation: whether no other one was under way when it began."""
        if self._file is None:
            yield True
            return
        alone = self._lock_alone()
        fcntl.flock(self._file, fcntl.LOCK_SH)  # of one who is alone: so the next one sees it
        try:
            yield alone
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _lock_alone(self) -> bool:
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
