"""One operator at a time: a lock on a model repository that its holder's death frees."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from peopleseg.releases.errors import Locked, ReadOnly
from peopleseg.releases.journal import now, operator

FILE_NAME = ".release.lock"
POLL_S = 0.2
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def held(repository: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a repository, after waiting for it at most wait_s seconds.

    It is tried twice at least, because `holder` takes the lock for a moment. Raises Locked, which
    names who holds it, and ReadOnly.
    """
    with _opened(repository) as file:
        _acquire(file, repository, fcntl.LOCK_EX, wait_s)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "who": operator(), "since": now()}))
        file.flush()
        yield  # closing the file frees the lock, as the kernel does for a killed process


def wait_until_free(repository: Path, wait_s: float = 0.0) -> None:
    """Return when nobody holds the lock, and write nothing. Raises Locked after wait_s seconds."""
    with suppress(FileNotFoundError), (repository / FILE_NAME).open("r") as file:
        _acquire(file, repository, fcntl.LOCK_SH, wait_s)


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


def _opened(repository: Path) -> IO[str]:
    path = repository / FILE_NAME
    try:
        return path.open("a+")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise ReadOnly(
            f"{path} cannot be written ({error.strerror}): to change what the repository serves, "
            f"mount it writable for user {os.getuid()}"
        ) from error


def _acquire(file: Any, repository: Path, mode: int, wait_s: float) -> None:
    deadline = time.monotonic() + max(wait_s, POLL_S)
    while True:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
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
