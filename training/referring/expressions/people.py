"""What annotations say of the people of an image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.referring.expressions.colour_names import Shares

# Who is this much smaller than the largest person is easily overlooked by who reads an expression.
OVERLOOKED = 0.05  # of the largest one's area


class Garment(NamedTuple):
    """Something worn, as a clothing data set annotates it."""

    name: str  # such as "coat"
    share: float  # of the person's pixels
    rgb: tuple[int, int, int]  # median


@dataclass(frozen=True, eq=False)
class Person:
    """One person, in image pixels."""

    box_xyxy: tuple[float, float, float, float]
    area_px: float
    keypoints: NDArray[np.float32] | None = None  # (17, 3) x, y, visibility; None: not known
    clothes: tuple[Garment, ...] | None = None  # everything worn; None: not known
    # Of pixels, by the name of their colour; None: not known.
    upper_colours: Mapping[str, Shares] | None = None  # of the torso
    all_colours: Mapping[str, Shares] | None = None  # of the whole person, or of the whole box
    poses: dict[str, bool | None] = field(default_factory=dict, repr=False)  # asked before

    @property
    def width(self) -> float:
        return self.box_xyxy[2] - self.box_xyxy[0]

    @property
    def height(self) -> float:
        return self.box_xyxy[3] - self.box_xyxy[1]

    @property
    def centre(self) -> tuple[float, float]:
        x1, y1, x2, y2 = self.box_xyxy
        return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True, eq=False)
class Everybody:
    """The people of an image, and what else may be there."""

    size_hw: tuple[int, int]
    people: tuple[Person, ...] = field(default=())
    # Nobody was left out. False where there is a crowd, or only some people are annotated.
    complete: bool = True

    def __len__(self) -> int:
        return len(self.people)

    def only(self, chosen: Callable[[int], bool]) -> "tuple[Everybody, list[int]]":
        """Some of the people, and the index that each has here."""
        kept = [index for index in range(len(self)) if chosen(index)]
        return replace(self, people=tuple(self.people[index] for index in kept)), kept

    def noticed(self) -> list[int]:
        """Indices of those whom nobody overlooks."""
        largest = max((person.area_px for person in self.people), default=0.0)
        return [i for i, p in enumerate(self.people) if p.area_px >= OVERLOOKED * largest]
