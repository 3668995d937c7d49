"""Which prompt a person gets: a text, points or a scribble."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from peopleseg.errors import PeoplesegError
from training.referring.images import ReferredPerson
from training.referring.prompts import (
    click_on,
    points_on,
    points_on_torso,
    scribble_on,
    scribble_on_torso,
    torso_of,
)
from training.referring.samples import Prompt
from training.referring.views import View
from training.referring.words_of_place import flipped_text

Kind = Literal["text", "points", "scribble"]
KINDS: tuple[Kind, ...] = ("text", "points", "scribble")

MOST_POINTS = 3  # on a person, in training
MOST_NEGATIVE = 2  # points on what is not the person
EVALUATED_POINT = 5  # of a scribble: the point prompt of RefHuman's evaluation
NO_POINTS = np.empty((0, 3), np.float32)


class PromptError(PeoplesegError, ValueError):
    """Shares of prompts that cannot be drawn from."""


@dataclass(frozen=True)
class PromptSettings:
    """How often each kind of prompt is drawn, of those that a person can have."""

    text: float = 0.5  # as published: half texts
    points: float = 0.25
    scribble: float = 0.25
    # Of the prompts of points, those that also say what is not meant: for negative_points networks.
    negative: float = 0.0
    most: int = 4  # prompts of an image, each of another person

    def __post_init__(self) -> None:
        shares = (self.text, self.points, self.scribble)
        if min(shares) < 0 or sum(shares) <= 0:
            raise PromptError(
                f"the shares of text, points and scribble are {shares}; give numbers from 0 on, "
                "one of them above it"
            )
        if not 0 <= self.negative <= 1 or self.most < 1:
            raise PromptError(
                f"negative is {self.negative}, expected 0 to 1; most is {self.most}, expected 1 or "
                "more"
            )

    def share(self, kind: Kind) -> float:
        return {"text": self.text, "points": self.points, "scribble": self.scribble}[kind]


@dataclass(frozen=True)
class Seen:
    """A person in the square."""

    person: ReferredPerson
    mask: NDArray[np.uint8] | None  # (S, S) of 0 and 1; None: not known, or nothing of it is seen
    keypoints: NDArray[np.float32] | None  # (17, 3) x, y, visibility
    box_xyxy: NDArray[np.float32]  # (4,) pixels of the square


def kinds_of(person: ReferredPerson, captions: Sequence[str]) -> list[Kind]:
    """The prompts that a person can have. Who has no mask is pointed at by the torso."""
    torso = None if person.keypoints is None else torso_of(person.keypoints)
    pointed = person.person.masked or torso is not None
    found: list[Kind] = ["text"] if captions else []
    return found + (["points", "scribble"] if pointed else [])


def training_prompt(
    kind: Kind,
    seen: Seen,
    others: Sequence[Seen],
    captions: Sequence[str],
    view: View,
    settings: PromptSettings,
    random: np.random.Generator,
) -> Prompt | None:
    """None where too little of the person is seen to be pointed at."""
    if kind == "text":
        text = captions[int(random.integers(len(captions)))]
        return Prompt(flipped_text(text) if view.flipped else text, NO_POINTS)
    if kind == "scribble":
        on = _scribble(seen, random)
        return None if on is None else Prompt(None, _labelled(on, 1))
    on = _points(seen, random)
    if on is None:
        return None
    points = _labelled(on, 1)
    if random.random() < settings.negative:
        negative = _not_on(seen, others, view.size, random)
        points = np.concatenate((points, _labelled(negative, 0)))
    return Prompt(None, points)


def evaluated_prompt(
    kind: Kind, seen: Seen, view: View, random: np.random.Generator
) -> Prompt | None:
    """RefHuman's: the first scribble of the file, of which the sixth point is the point prompt.

    Where the file has none, one is drawn; of several texts, one. None as `training_prompt`.
    """
    if kind == "text":
        captions = seen.person.captions
        return Prompt(captions[int(random.integers(len(captions)))], NO_POINTS)
    scribbles = seen.person.scribbles
    scribble = _scribble(seen, random) if scribbles is None else view.points(scribbles[0])
    if scribble is None:
        return None
    points = scribble if kind == "scribble" else scribble[EVALUATED_POINT : EVALUATED_POINT + 1]
    return Prompt(None, _labelled(points, 1))


def _points(seen: Seen, random: np.random.Generator) -> NDArray[np.float32] | None:
    """A click half of the time, else up to MOST_POINTS anywhere on the person."""
    count = int(random.integers(1, MOST_POINTS + 1))
    if seen.mask is not None:
        is_click = random.random() < 0.5
        return click_on(seen.mask, random) if is_click else points_on(seen.mask, count, random)
    return None if seen.keypoints is None else points_on_torso(seen.keypoints, count, random)


def _scribble(seen: Seen, random: np.random.Generator) -> NDArray[np.float32] | None:
    if seen.mask is not None:
        return scribble_on(seen.mask, random)
    return None if seen.keypoints is None else scribble_on_torso(seen.keypoints, random)


def _not_on(
    seen: Seen, others: Sequence[Seen], size: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """(n, 2) points on others in the square that are surely not on this person; n may be 0."""
    found = []
    for other in random.permutation(len(others))[:MOST_NEGATIVE]:
        points = _points(others[int(other)], random)
        if points is None or not ((points[0] >= 0) & (points[0] < size)).all():
            continue
        if not _may_be_on(seen, points[0]):
            found.append(points[0])
    return np.array(found, np.float32).reshape(-1, 2)


def _may_be_on(seen: Seen, point: NDArray[np.float32]) -> bool:
    if seen.mask is not None:
        return bool(seen.mask[int(point[1]), int(point[0])])
    x1, y1, x2, y2 = seen.box_xyxy
    return bool(x1 <= point[0] <= x2 and y1 <= point[1] <= y2)


def _labelled(points: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    return np.concatenate((points, np.full((len(points), 1), label, np.float32)), axis=1)
