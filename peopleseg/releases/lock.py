"""One operator at a time: a lock on a model repository that its holder's death frees."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peopleseg.releases.errors import Locked
from peopleseg.releases.journal import now, operator

FILE_NAME = ".release.lock"
POLL_S = 0.2


@contextmanager
def held(repository: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a repository, after waiting for it at most wait_s seconds.

    It is tried twice at least, because `holder` takes the lock for a moment. Raises Locked, which
    names who holds it.
    """
    with (repository / FILE_NAME).open("a+") as file:
        _acquire(file, repository, time.monotonic() + max(wait_s, POLL_S))
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "who": operator(), "since": now()}))
        file.flush()
        yield  # closing the file frees the lock, as the kernel does for a killed process


def holder(repository: Path) -> str | None:
    """Who holds the lock now; None when nobody does."""
    try:
        with (repository / FILE_NAME).open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
    except FileNotFoundError:
        pass  # nobody ever held it
    return None


def _acquire(file: Any, repository: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise Locked(
                    f"{_holder(file)} is changing the releases of {repository}; "
                    "wait until that is done, for example with --wait 600"
                ) from error
            time.sleep(POLL_S)


def _holder(file: Any) -> str:
    file.seek(0)
    try:
        holder = json.load(file)
        return f"{holder['who']} (process {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):  # it has the lock, but has not written this yet
        return "somebody else"
