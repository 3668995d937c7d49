"""What is said of a name that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches

from peopleseg.errors import WrongUsage

_SHOWN = 8  # names, where none is alike


def unknown(what: str, name: str, known: Iterable[str]) -> WrongUsage:
    """An error that names the most alike of the known names, or the first ones."""
    names = list(known)
    alike = get_close_matches(name, names, n=3, cutoff=0.5)
    if alike:
        return WrongUsage(f"{what} is {name!r}, which is not known; did you mean {_or(alike)}?")
    return WrongUsage(f"{what} is {name!r}; expected a known one, such as {_or(names[:_SHOWN])}")


def _or(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
