"""The record of all releases: `releases.jsonl` of a model repository, appended and never rewritten.

Each system has releases of its own, which are stacked and rolled back apart from those of others.

Each line is the whole `Record` of one attempt at one moment; the last line of a number counts. So a
release leaves `started`, `decided` and `serving`, or ends in `refused`. The line `decided` is what
divides a killed release that is undone from one that is finished: see `peopleseg.releases.disk`.
"""

import errno
import getpass
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from peopleseg.releases.errors import ReleaseError

FILE_NAME = "releases.jsonl"

STARTED = "started"  # nothing on disk has changed yet
DECIDED = "decided"  # it is proven: whoever finds this line finishes it
RETURNING = "returning"  # it failed after all: whoever finds this line puts the old files back
SERVING = "serving"  # done
REFUSED = "refused"  # the old release serves

# Ends a line that broke off, so that it stays unreadable even where only its end was missing.
_TORN = " (torn)"

RELEASE = "release"
ROLLBACK = "rollback"
INITIAL = "initial"  # what served before the first release

SCHEMA = 2  # of a line; 1 had neither `schema` nor `system`, all releases being of people
_FIRST_SYSTEM = "people"


@dataclass(frozen=True)
class Record:
    """One attempt to serve other versions."""

    number: int  # 1, 2, ...; what served before the first one is 0
    name: str
    action: str  # release or rollback
    versions: dict[str, int]  # of every step
    before: dict[str, int]  # what served when it began
    kept: dict[str, list[int]]  # versions of every step that stay loaded when it serves
    kept_before: dict[str, list[int]]
    ensembles: list[str]  # that it changes
    system: str = _FIRST_SYSTEM
    who: str = ""
    when: str = ""  # UTC, ISO 8601: when it began
    why: str = ""
    forced: bool = False
    offline: bool = False  # written to disk without a server
    restores: int | None = None  # a rollback's: the number of the release that it brings back
    metrics: dict[str, Any] = field(default_factory=dict)  # of the gate
    swap_ms: float | None = None  # from the decision until the server answered with it
    stage: str = ""  # reached
    reason: str = ""  # of a refusal, or what an interruption left to do
    result: str = STARTED
    at: str = ""  # UTC, ISO 8601: of this line
    schema: int = SCHEMA


class Journal:
    """The records of one model repository."""

    def __init__(self, repository: Path) -> None:
        self.path = repository / FILE_NAME

    def append(self, record: Record) -> Record:
        """Add a line, on the disk when this returns; the record with its time."""
        record = replace(record, at=now(), schema=SCHEMA)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            line = json.dumps(asdict(record)) + "\n"
            torn = "" if _ends_with_newline(descriptor) else f"{_TORN}\n"
            _write(descriptor, f"{torn}{line}".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return record

    def attempts(self) -> list[Record]:
        """The last line of each attempt, of all systems, in order.

        A line that broke off when its writer was killed was never finished and does not count: the
        last one without its end, and those that `append` found so. Raises ReleaseError for any
        other line that is no record.
        """
        latest: dict[int, Record] = {}
        for number, line in enumerate(self._lines(), start=1):
            if not line or line.endswith(_TORN):
                continue
            record = _record(line, f"{self.path}, line {number}")
            latest[record.number] = record
        return list(latest.values())

    def _lines(self) -> list[str]:
        try:
            text = self.path.read_text(errors="replace")  # what is damaged is no record either
        except FileNotFoundError:
            return []
        return text.split("\n")[:-1]


def of_system(attempts: list[Record], system: str) -> list[Record]:
    """The attempts to release a system; what the functions below take."""
    return [record for record in attempts if record.system == system]


def serving(attempts: list[Record]) -> Record | None:
    """The release that serves; None when nothing was released yet."""
    served = _served(attempts)
    return served[-1] if served else None


def last_change(attempts: list[Record]) -> Record | None:
    """The last attempt that serves or served, a rollback too."""
    return next((one for one in reversed(attempts) if one.result == SERVING), None)


def unfinished(attempts: Sequence[Record]) -> Record | None:
    """The last attempt, where it neither serves nor is refused."""
    last = attempts[-1] if attempts else None
    return None if last is None or last.result in (SERVING, REFUSED) else last


def kept_now(attempts: list[Record]) -> dict[str, list[int]]:
    """Versions of each step that belong loaded, by what the last attempt ended in."""
    if not attempts:
        return {}
    last = attempts[-1]
    return last.kept if last.result == SERVING else last.kept_before


def release_before(attempts: list[Record]) -> Record | None:
    """What served before the serving release first did; None when there is nothing to go back to.

    Rolling back twice goes back two releases, and not forward again.
    """
    served = _served(attempts)
    return served[-2] if len(served) > 1 else None


def releases(attempts: list[Record]) -> list[Record]:
    """Every release that has served, the first one `initial`; rollbacks are not among them."""
    return [*_initial(attempts), *(one for one in attempts if _is_release(one))]


def find(attempts: list[Record], wanted: str) -> Record:
    """The release of that name or number that has served. Raises ReleaseError."""
    every = releases(attempts)
    for record in reversed(every):
        if wanted in (record.name, str(record.number)):
            return record
    known = ", ".join(f"{record.number} {record.name}" for record in every) or "none yet"
    raise ReleaseError(f"there is no release {wanted!r} that has served; there are: {known}")


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def operator() -> str:
    """user@machine of whoever runs this."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _served(attempts: list[Record]) -> list[Record]:
    """Releases as a stack: a rollback takes off what came after the one that it brings back."""
    stack = _initial(attempts)
    for record in attempts:
        if _is_release(record):
            stack.append(record)
        elif record.result == SERVING:
            numbers = [one.number for one in stack]
            if record.restores in numbers:
                del stack[numbers.index(record.restores) + 1 :]
            else:  # forward again, to one that was taken off
                stack += [one for one in attempts if one.number == record.restores]
    return stack


def _is_release(record: Record) -> bool:
    return record.result == SERVING and record.action == RELEASE


def _initial(attempts: list[Record]) -> list[Record]:
    if not attempts:
        return []
    first = attempts[0]
    return [
        Record(
            number=0,
            name=INITIAL,
            action=RELEASE,
            versions=first.before,
            before=first.before,
            kept=first.kept_before,
            kept_before=first.kept_before,
            ensembles=[],
            system=first.system,
            when=first.when,
            result=SERVING,
        )
    ]


def _record(line: str, where: str) -> Record:
    """Raises ReleaseError, which says where."""
    try:
        fields = {"schema": 1, **json.loads(line)}
        if fields["schema"] > SCHEMA:
            raise ReleaseError(
                f"{where} has schema {fields['schema']}, this peopleseg reads up to {SCHEMA}; use "
                "the newer peopleseg that wrote it"
            )
        return Record(**fields)
    except (json.JSONDecodeError, TypeError) as error:
        raise ReleaseError(
            f"{where} is not a release record ({error}); put the file back as it was written"
        ) from error


def _ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _write(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) != len(line):  # in one call, so that nobody writes in between
        raise OSError(errno.ENOSPC, "no room for a line of the release record")
