"""How far an artifact may be from what it was made of, as each system says of its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

NO_LIMIT = float("inf")


class Tolerance(NamedTuple):
    """What a gap may be at most: its largest value, and its mean in parts of the magnitude."""

    max: float
    mean_share: float = NO_LIMIT


ByName = Mapping[str, Tolerance]  # of all that is compared


@dataclass(frozen=True)
class Tolerances:
    """Of everything compared."""

    by_name: ByName
    sources: tuple[str, ...] = ()  # of the inputs that they hold for; none: all

    def of(self, name: str) -> Tolerance:
        return self.by_name[name]
