"""Where in the image a person is: left, right, middle, top, in order."""

from functools import partial
from typing import Literal

from training.referring.expressions.claims import Claim, Truth, every
from training.referring.expressions.people import Everybody

Axis = Literal[0, 1]  # x, y

# In parts of the image's side.
GAP = 0.06  # the least distance of two centres that are in an order
INNER, OUTER = 0.55, 0.4  # beyond these a person is surely not, or surely, on a side
MIDDLE = 0.15  # within this of the centre: in the middle, or perhaps
AT_EDGE, OFF_EDGE = 0.01, 0.06  # nearer than the one: at the edge; farther than the other: not
GAP_OF_WIDTH = 0.3  # the same in parts of the smaller one's side
MOST_COUNTED = 3  # "third from the left"

_ORDINALS = {2: ("second", "2nd"), 3: ("third", "3rd")}


def place_claims(everybody: Everybody) -> list[Claim]:
    """All that can be said of places in this image."""
    claims = [_side(name) for name in ("left", "right")]
    if len(everybody) < 2:
        return claims
    claims += [_far(name) for name in ("left", "right")]
    claims += [_edge(name) for name in ("left", "right")]
    claims += [_top(), _bottom(), _middle()]
    claims += [_corner(row, side) for row in ("top", "bottom") for side in ("left", "right")]
    for rank in range(2, min(MOST_COUNTED, len(everybody) - 1) + 1):
        claims += [_counted(rank, name) for name in ("left", "right")]
    return claims


def in_order(everybody: Everybody, first: int, second: int, axis: Axis) -> bool:
    """Whether one is clearly nearer to the start of an axis: by centre and by both edges."""
    one, other = everybody.people[first], everybody.people[second]
    side = everybody.size_hw[1 - axis]
    own = min((p.box_xyxy[2 + axis] - p.box_xyxy[axis]) for p in (one, other))
    gap = other.centre[axis] - one.centre[axis]
    edges = all(one.box_xyxy[e] <= other.box_xyxy[e] for e in (axis, 2 + axis))
    return edges and gap >= max(GAP * side, GAP_OF_WIDTH * own)


def _is_ranked(
    everybody: Everybody, index: int, rank: int, axis: Axis, from_end: bool = False
) -> Truth:
    """Whether a person is the rank-th, from 1 on, along an axis."""
    others = [other for other in range(len(everybody)) if other != index]
    before = sum(in_order(everybody, other, index, axis) for other in others)
    behind = sum(in_order(everybody, index, other, axis) for other in others)
    if from_end:
        before, behind = behind, before
    if before >= rank or behind > len(others) - (rank - 1):
        return False
    return True if before == rank - 1 and before + behind == len(others) else None


def _is_on_side(everybody: Everybody, index: int, right: bool) -> Truth:
    """Of two people one is to the left of the other; else what counts is the image."""
    if len(everybody) == 2:
        return _is_ranked(everybody, index, 1, 0, from_end=right)
    return _is_in_part(everybody, index, 0, right)


def _is_in_part(everybody: Everybody, index: int, axis: Axis, end: bool) -> Truth:
    share = everybody.people[index].centre[axis] / everybody.size_hw[1 - axis]
    share = 1 - share if end else share
    return True if share <= OUTER else False if share >= INNER else None


def _is_in_corner(everybody: Everybody, index: int, right: bool, bottom: bool) -> Truth:
    return every(
        (
            _is_in_part(everybody, index, 0, right),
            _is_in_part(everybody, index, 1, bottom),
        )
    )


def _is_at_edge(everybody: Everybody, index: int, right: bool) -> Truth:
    width = everybody.size_hw[1]
    x1, _, x2, _ = everybody.people[index].box_xyxy
    share = (width - x2 if right else x1) / width
    return True if share <= AT_EDGE else False if share >= OFF_EDGE else None


def _is_middle(everybody: Everybody, index: int) -> Truth:
    """As many on the left as on the right, and near the centre of the image; both or neither."""
    rank, rest = divmod(len(everybody), 2)
    if not rest or len(everybody) < 3:
        return None
    ranked = _is_ranked(everybody, index, rank + 1, 0)
    off = abs(everybody.people[index].centre[0] / everybody.size_hw[1] - 0.5)
    if ranked is False and off > MIDDLE:
        return False
    return True if ranked is True and off <= MIDDLE else None


def _side(name: str) -> Claim:
    return Claim(
        f"on the {name}",
        "place",
        partial(_is_on_side, right=name == "right"),
        before=(name,),
        after=(f"on the {name}", f"on {name}", f"to the {name}", f"on the {name} side"),
        alone=(name, f"{name} side"),
        of_group=True,
    )


def _far(name: str) -> Claim:
    return Claim(
        f"far {name}",
        "place",
        partial(_is_ranked, rank=1, axis=0, from_end=name == "right"),
        before=(f"far {name}", f"{name}most"),
        after=(f"on the far {name}", f"farthest to the {name}", f"at far {name}"),
        alone=(f"far {name}", f"{name}most", f"furthest {name}"),
        of_group=True,
    )


def _edge(name: str) -> Claim:
    return Claim(
        f"at the {name} edge",
        "place",
        partial(_is_at_edge, right=name == "right"),
        after=(f"at the {name} edge of the picture", f"at the {name} edge", f"on {name} edge"),
    )


def _top() -> Claim:
    return Claim(
        "highest",
        "place",
        partial(_is_ranked, rank=1, axis=1),
        before=("top", "highest"),
        after=("at the top", "highest up in the picture"),
        alone=("top",),
    )


def _bottom() -> Claim:
    return Claim(
        "lowest",
        "place",
        partial(_is_ranked, rank=1, axis=1, from_end=True),
        before=("bottom", "lowest"),
        after=("at the bottom", "lowest in the picture"),
        alone=("bottom",),
    )


def _corner(row: str, side: str) -> Claim:
    return Claim(
        f"{row} {side}",
        "place",
        partial(_is_in_corner, right=side == "right", bottom=row == "bottom"),
        before=(f"{row} {side}",),
        after=(f"at the {row} {side}", f"in the {row} {side}", f"{row} {side}"),
        alone=(f"{row} {side}", f"{side} {row}"),
    )


def _middle() -> Claim:
    return Claim(
        "in the middle",
        "place",
        _is_middle,
        before=("middle", "center"),
        after=("in the middle", "in middle", "in the center", "between the others"),
        alone=("middle", "center"),
    )


def _counted(rank: int, name: str) -> Claim:
    word, short = _ORDINALS[rank]
    return Claim(
        f"{word} from the {name}",
        "place",
        partial(_is_ranked, rank=rank, axis=0, from_end=name == "right"),
        after=(f"that is {word} from the {name}", f"{word} from the {name}"),
        alone=(
            f"{word} from {name}",
            f"{short} from {name}",
            f"{word} person from the {name}",
            f"the {word} person from {name}",
            f"{word} from the {name}",
        ),
    )
