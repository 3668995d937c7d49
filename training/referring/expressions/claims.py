"""Claims about a person: what an expression says, as a predicate, and words for it.

A predicate answers True, False, or None where the annotations do not make it sure: between the
surely left and the surely not left there is a margin. An expression is of a person when it is
surely true of this one and surely false of everybody else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from training.referring.expressions.people import Everybody

Truth = bool | None  # None: not sure
Predicate = Callable[[Everybody, int], Truth]  # of everybody and the index of the one
Topic = Literal["place", "depth", "size", "pose", "clothes"]


@dataclass(frozen=True)
class Claim:
    """One thing to say of a person."""

    name: str
    topic: Topic
    holds: Predicate
    before: tuple[str, ...] = ()  # words before the noun: "sitting"
    after: tuple[str, ...] = ()  # and behind it: "on the left"
    alone: tuple[str, ...] = ()  # expressions without a noun: "far left"
    # Whether it can be said of some people: "the leftmost of those who sit".
    of_group: bool = False
    subjects: frozenset[str] = frozenset()  # garments and colours; none is told twice of a person


def every(truths: Iterable[Truth]) -> Truth:
    """Whether all are true: one that is false decides, and else one that is not sure.

    None behind a false one is asked for.
    """
    sure = True
    for truth in truths:
        if truth is False:
            return False
        sure = sure and truth is True
    return True if sure else None


def means_only(claim: Claim, everybody: Everybody, index: int) -> bool:
    """Whether a claim is surely true of a person and surely false of everybody else.

    It has to be so with and without those who are easily overlooked.
    """
    if claim.holds(everybody, index) is not True:
        return False
    others = (other for other in range(len(everybody)) if other != index)
    if not all(claim.holds(everybody, other) is False for other in others):
        return False
    noticed = everybody.noticed()
    if len(noticed) == len(everybody):
        return True
    seen, indices = everybody.only(lambda one: one in noticed)
    return index in indices and means_only(claim, seen, indices.index(index))


def both(first: Claim, second: Claim) -> Claim:
    """What is true of whom two claims are true of."""

    def holds(everybody: Everybody, index: int) -> Truth:
        return every(claim.holds(everybody, index) for claim in (second, first))

    return Claim(f"{first.name}, {second.name}", second.topic, holds)


def among(group: Claim, claim: Claim) -> Claim:
    """`claim` as it holds among those of whom `group` is true: the sitting person on the left."""

    def holds(everybody: Everybody, index: int) -> Truth:
        members = [group.holds(everybody, one) for one in range(len(everybody))]
        if members[index] is False:
            return False
        if None in members:
            return None
        seen, indices = everybody.only(lambda one: members[one] is True)
        return claim.holds(seen, indices.index(index))

    return Claim(f"{group.name}, {claim.name}", claim.topic, holds)
