"""Settings of Python steps: what a value has to be. Each step says which ones it has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from peopleseg.labels.numbers import is_number


class Setting(NamedTuple):
    """What a value has to be, in words and as a test."""

    expected: str
    allows: Callable[[Any], bool]


def settings_faults(
    step: str, known: Mapping[str, Setting], settings: Mapping[str, Any]
) -> list[str]:
    """What is wrong with the settings of a step's version; nothing is wrong with a missing one."""
    faults = []
    for name, value in settings.items():
        if name not in known:
            faults.append(f"{step} has no setting {name}; it has {', '.join(known) or 'none'}")
        elif not known[name].allows(value):
            faults.append(f"setting {name} is {value!r}; expected {known[name].expected}")
    return faults


def one_of(values: Sequence[str]) -> Setting:
    return Setting(" or ".join(values), lambda value: value in values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))


SIZE = Setting("two numbers of cells, [height, width]", _is_size)
FRACTION = Setting("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
NUMBER = Setting("a number", is_number)
COUNT = Setting("a whole number from 1 on", _is_count)
# A version keeps a copy in its folder, which the step gets the path of.
FILE = Setting("the path of a file", lambda value: isinstance(value, str) and value != "")
