"""What the steps share that decide who is in an answer."""

import math
from collections.abc import Mapping
from typing import Any

from peopleseg.repository.settings import Setting, is_number
from peopleseg.systems.people.scores import with_score_fit
from peopleseg.systems.people.selection import min_score_of
from peopleseg.systems.step import Step


def _is_score_fit(value: Any) -> bool:
    if value is None:
        return True
    numbers = isinstance(value, list | tuple) and len(value) == 3 and all(map(is_number, value))
    return numbers and all(map(math.isfinite, value)) and value[0] > 0 and value[1] >= 0


SCORE_FIT = Setting("three numbers: above 0, 0 or more, any; or null", _is_score_fit)


class ScoredStep(Step):
    """A step with a `score_fit`, whose requests may say the lowest score that they want."""

    def __init__(self, **settings: Any) -> None:
        self.chosen = with_score_fit(settings)

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return min_score_of(parameters)
