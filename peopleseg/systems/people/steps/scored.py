"""What the steps share that decide who is in a response."""

from collections.abc import Mapping
from typing import Any

from peopleseg.labels.numbers import is_number
from peopleseg.repository.settings import Setting
from peopleseg.systems.people.scores import with_score_fit
from peopleseg.systems.people.selection import min_score_of
from peopleseg.systems.step import Step


def _is_score_fit(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, list | tuple) or len(value) not in (3, 4):
        return False
    if not all(map(is_number, value)):
        return False
    return value[0] > 0 and all(number >= 0 for number in (value[1], *value[3:]))


SCORE_FIT = Setting(
    "three or four numbers: above 0, 0 or more, any, 0 or more; or null", _is_score_fit
)


class ScoredStep(Step):
    """A step with a `score_fit`, whose requests may say the lowest score that they want."""

    def __init__(self, **settings: Any) -> None:
        self.chosen = with_score_fit(settings)

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return min_score_of(parameters)
