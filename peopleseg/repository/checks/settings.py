"""The settings of the Python steps: which there are, and which values each can have."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import numpy as np

from peopleseg.pixels.geometry import Resize
from peopleseg.systems.people.roi_sampling import Sampling


class Setting(NamedTuple):
    """What a value has to be, in words and as a test."""

    expected: str
    allows: Callable[[Any], bool]


def settings_faults(step: str, settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of a step's version; nothing is wrong with a missing one."""
    known = SETTINGS.get(step, {})
    faults = []
    for name, value in settings.items():
        if name not in known:
            faults.append(f"{step} has no setting {name}; it has {', '.join(known) or 'none'}")
        elif not known[name].allows(value):
            faults.append(f"setting {name} is {value!r}; expected {known[name].expected}")
    return faults


def _one_of(values: tuple[str, ...]) -> Setting:
    return Setting(" or ".join(values), lambda value: value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))


def _is_score_fit(value: Any) -> bool:
    if value is None:
        return True
    numbers = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
    return numbers and bool(np.isfinite(value).all()) and value[0] > 0 and value[1] >= 0


_SIZE = Setting("two numbers of cells, [height, width]", _is_size)
_FRACTION = Setting("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_SCORE_FIT = Setting("three numbers: above 0, 0 or more, any; or null", _is_score_fit)
_COUNT = Setting("a whole number from 1 on", _is_count)
_SAMPLING = _one_of(get_args(Sampling))

# By step, as the arguments of what the step calls.
SETTINGS: dict[str, dict[str, Setting]] = {
    "preprocess": {"resize": _one_of(get_args(Resize))},
    "select_people": {"min_score": _FRACTION, "max_iou": _FRACTION, "score_fit": _SCORE_FIT},
    "postprocess": {"min_score": _FRACTION, "max_mask_iou": _FRACTION, "score_fit": _SCORE_FIT},
    "roi_align": {
        "sampling": _SAMPLING,
        "roi_size_hw": _SIZE,
        "feature_size_hw": _SIZE,
        "threads": _COUNT,
    },
    "roi_align_features": {
        "sampling": _SAMPLING,
        "feature_size_hw": _SIZE,
        "padding": _FRACTION,
        "threads": _COUNT,
    },
}
