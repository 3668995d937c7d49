"""Which expressions there are of a person, and which of them are taken."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product, zip_longest
from random import Random

from training.referring.expressions.claims import Claim, among, both, means_only
from training.referring.expressions.clothing import clothing_claims
from training.referring.expressions.people import Everybody
from training.referring.expressions.places import place_claims
from training.referring.expressions.poses import pose_claims
from training.referring.expressions.sentences import sentence
from training.referring.expressions.sizes import size_claims

MOST = 5  # expressions of a person
# COCO annotates some 10 to 15 people of an image one by one and the others as a crowd; where that
# crowd is missing, others may be there.
MOST_PEOPLE = 12
_TRIES = 3  # phrasings of one meaning before it is left
# What is said together: who is meant by the first, and which of them by the second.
_TOGETHER = {
    *(("pose", "place"), ("clothes", "place"), ("pose", "depth"), ("clothes", "depth")),
    *(("pose", "clothes"), ("pose", "pose"), ("clothes", "clothes")),
}


@dataclass(frozen=True)
class Expression:
    """A text, and what it claims of the person."""

    text: str
    claim: Claim


@dataclass(frozen=True)
class _Way:
    """A meaning, and the claims by which it is said."""

    meaning: Claim
    said: tuple[Claim, ...]


def expressions_of(
    everybody: Everybody, index: int, random: Random, *, most: int = MOST
) -> list[Expression]:
    """At most so many expressions that are of this person and surely of nobody else, of many kinds.

    There are none where somebody may be in the image who is not known: a crowd could hold another
    one who fits. Where only main persons are annotated, ask `clothes_expressions_of`.
    """
    if not everybody.complete or len(everybody) > MOST_PEOPLE:
        return []
    kinds = (place_claims, size_claims, pose_claims, clothing_claims)
    return _chosen(everybody, index, [c for kind in kinds for c in kind(everybody)], random, most)


def clothes_expressions_of(
    everybody: Everybody, index: int, random: Random, *, most: int = MOST
) -> list[Expression]:
    """Expressions by clothes, which nobody else among those annotated fits; others may."""
    return _chosen(everybody, index, clothing_claims(everybody), random, most)


def _chosen(
    everybody: Everybody, index: int, claims: Sequence[Claim], random: Random, most: int
) -> list[Expression]:
    by_kind: dict[tuple[str, ...], list[_Way]] = defaultdict(list)
    for way in _ways(everybody, index, claims):
        by_kind[tuple(claim.topic for claim in way.said)].append(way)
    kinds = list(by_kind.values())
    for ways in (kinds, *kinds):
        random.shuffle(ways)  # type: ignore[arg-type]
    found: dict[str, Expression] = {}
    by_turns = chain.from_iterable(zip_longest(*kinds))
    for way in (way for way in by_turns if way is not None):
        for _ in range(_TRIES):
            text = sentence(way.said, random)
            if text not in found and len(found) < most:
                found[text] = Expression(text, way.meaning)
                break
    return list(found.values())


def _ways(everybody: Everybody, index: int, claims: Sequence[Claim]) -> Iterator[_Way]:
    """All that can be said of a person alone, with one claim or with two."""
    true = [claim for claim in claims if claim.holds(everybody, index) is True]
    single = {id(claim) for claim in true if means_only(claim, everybody, index)}
    known = {id(claim) for claim in true}
    yield from (_Way(claim, (claim,)) for claim in true if id(claim) in single)
    seconds = [claim for claim in claims if id(claim) in known or claim.of_group]
    for first, second in product(true, seconds):
        if first is second or first.subjects & second.subjects:
            continue
        if (first.topic, second.topic) not in _TOGETHER:
            continue
        if id(second) in single:
            meaning = both(first, second)
        elif id(first) not in single and len(everybody) > 1:
            meaning = among(first, second)
        else:
            continue
        if means_only(meaning, everybody, index):
            yield _Way(meaning, (first, second))
