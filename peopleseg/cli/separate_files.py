"""Files that a command must not mix up."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from peopleseg.errors import PeoplesegError


class SameFile(PeoplesegError, ValueError):
    """Two options name one file, of which one would be lost; the message names both."""


def require_separate(named: Mapping[str, Path | None]) -> None:
    """Raises SameFile where two options name one file, by whatever paths.

    named: what is given and its file, what is read before what is written; None: not given.
    """
    given = [(option, path) for option, path in named.items() if path is not None]
    for (option, path), (other, written) in combinations(given, 2):
        if _is_one(path, written):
            raise SameFile(f"{other} {written} is the file of {option} {path}; name another")


def _is_one(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
