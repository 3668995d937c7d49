"""How large a person is beside the others, and who stands in front."""

from collections.abc import Callable

from training.referring.expressions.body import has_feet
from training.referring.expressions.claims import Claim, Truth
from training.referring.expressions.people import Everybody, Person
from training.referring.expressions.poses import has_pose, is_standing, is_whole

LARGER = 1.5  # the least ratio of two areas, of masks and of boxes
NEARER = 1.8  # and where one stands in front of the other
HIGHER = 1.25  # the least ratio of their heights then
HIGHER_WITHOUT_FEET = 2.0  # where something may hide the feet of the one behind
NEARER_FEET = 0.04  # how much lower the one in front ends, in parts of the image's height
TALLER = 1.12  # the least ratio of heights of people who stand
SAME_GROUND = 0.08  # how far apart their feet may be, in parts of the taller one's height

Beats = Callable[[Everybody, Person, Person], bool]  # whether the first clearly exceeds the second


def size_claims(everybody: Everybody) -> list[Claim]:
    if len(everybody) < 2:
        return []
    return [
        Claim(
            "in front",
            "depth",
            lambda group, index: _is_first(group, index, _is_nearer),
            before=("front", "closest", "nearest"),
            after=("in front", "in the front", "closest to the camera", "in the foreground"),
            alone=("closest to us", "in front"),
        ),
        Claim(
            "in the back",
            "depth",
            lambda group, index: _is_first(group, index, _reversed(_is_nearer)),
            before=("back", "farthest", "furthest"),
            after=("in the back", "in the background", "farthest away", "furthest from camera"),
            alone=("farthest away", "furthest back"),
        ),
        Claim(
            "largest",
            "size",
            lambda group, index: _is_first(group, index, _is_larger),
            before=("largest", "biggest"),
            after=("who looks biggest", "that takes up the most space"),
            alone=("the biggest", "largest"),
        ),
        Claim(
            "smallest",
            "size",
            lambda group, index: _is_first(group, index, _reversed(_is_larger)),
            before=("smallest",),
            after=("who looks smallest",),
            alone=("the smallest", "smallest"),
        ),
        Claim(
            "tallest",
            "size",
            lambda group, index: _is_first(group, index, _is_taller),
            before=("tallest",),
            after=("who is the tallest",),
            alone=("tallest", "the tallest"),
        ),
        Claim(
            "shortest",
            "size",
            lambda group, index: _is_first(group, index, _reversed(_is_taller)),
            before=("shortest",),
            after=("who is the shortest",),
            alone=("shortest",),
        ),
    ]


def _is_first(everybody: Everybody, index: int, beats: Beats) -> Truth:
    """Whether a person beats all others; surely not where another one beats this person."""
    own = everybody.people[index]
    others = [one for place, one in enumerate(everybody.people) if place != index]
    if any(beats(everybody, other, own) for other in others):
        return False
    return True if others and all(beats(everybody, own, other) for other in others) else None


def _reversed(beats: Beats) -> Beats:
    return lambda everybody, one, other: beats(everybody, other, one)


def _is_larger(everybody: Everybody, one: Person, other: Person) -> bool:
    boxes = one.width * one.height / (other.width * other.height)
    return min(boxes, one.area_px / other.area_px) >= LARGER and one.height > other.height


def _is_nearer(everybody: Everybody, one: Person, other: Person) -> bool:
    """A child beside an adult is smaller, but not farther away: its feet are as low."""
    lower = one.box_xyxy[3] - other.box_xyxy[3] >= NEARER_FEET * everybody.size_hw[0]
    higher = (
        HIGHER if other.keypoints is not None and has_feet(other.keypoints) else HIGHER_WITHOUT_FEET
    )
    larger = one.area_px >= NEARER * other.area_px and one.height >= higher * other.height
    return lower and larger


def _is_taller(everybody: Everybody, one: Person, other: Person) -> bool:
    """Only of people seen from head to foot, who stand on the same ground."""
    for person in (one, other):
        if not has_pose(person, "standing", is_standing) or person.keypoints is None:
            return False
        if not is_whole(person.keypoints):
            return False
    apart = abs(one.box_xyxy[3] - other.box_xyxy[3])
    return one.height >= TALLER * other.height and apart <= SAME_GROUND * one.height
