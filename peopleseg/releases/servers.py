"""The servers that run on a model repository: each holds a lock on a file that says who it is.

The kernel frees the lock when its holder dies; what a dead server left is removed at the next look.
A repository that cannot be written is served without such a file.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

from peopleseg.releases.journal import now, operator

PREFIX = ".server-"


class Announcement:
    """Tells everybody who looks that a server runs, until it is withdrawn or the process ends."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self._path, self._file = path, file

    def withdraw(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def announce(repository: Path, ports: Mapping[str, int]) -> Announcement | None:
    """Say that this process serves a repository.

    None where it cannot be said: the repository cannot be written, or its file system has no locks.
    ports: by service, "http" and so on.
    """
    path = repository / f"{PREFIX}{uuid.uuid4().hex}"
    try:
        file = path.open("xb", buffering=0)
    except OSError:
        return None
    announcement = Announcement(path, file)
    own = {"pid": os.getpid(), "who": operator(), "since": now(), "ports": dict(ports)}
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # before it says anything: who looks takes it for alive
        os.fchmod(file.fileno(), 0o644)  # for servers of other users to look at
        file.write(json.dumps(own).encode())
    except OSError:
        announcement.withdraw()
        return None
    return announcement


def running(repository: Path) -> list[str]:
    """Who serves the repository now: process, ports and the time of the start of each server."""
    found = (_running(path) for path in sorted(repository.glob(f"{PREFIX}*")))
    return [said for said in found if said]


def _running(path: Path) -> str | None:
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _said(file.read())
        if file.read():  # an empty one is about to be locked
            with suppress(OSError):  # on a repository that only others can write
                path.unlink(missing_ok=True)
    return None


def _said(text: str) -> str:
    try:
        own = json.loads(text)
        ports = ", ".join(f"{service} {port}" for service, port in own["ports"].items())
        return f"{own['who']} (process {own['pid']}, since {own['since']}, ports {ports})"
    except (ValueError, KeyError, TypeError, AttributeError):  # it has not written all of it yet
        return "another server"
