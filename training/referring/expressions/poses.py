"""Poses that keypoints make sure. y grows downwards.

Lengths are in parts of the torso, from the middle of the shoulders to that of the hips. Each
answers True, False, or None where the keypoints do not make it sure.
"""

from collections.abc import Callable

import numpy as np

from peopleseg.labels.keypoints import INDEX
from training.referring.expressions.body import Body, Keypoints, Point, has_feet, is_visible
from training.referring.expressions.claims import Claim, Truth
from training.referring.expressions.people import Everybody, Person

Pose = Callable[[Keypoints], Truth]

LEVEL = 2.0  # what lies is this much longer across than down
BENT = 0.8  # a torso that bends over is at least this much longer across than down
# How far they reach down, at least. Half of the people who stand have 0.74 and 0.69 or more; who
# sits before a camera that looks down has less.
THIGH_STANDS, SHIN_STANDS = 0.65, 0.6
STRAIGHT = 0.94  # hip to ankle, in parts of the way over the knee
STEEP = 0.7  # how far beside the hip the ankle of a leg that stands is, at most, in parts of below
THIGH_SITS = 0.35  # how far a sitter's knee is below or above the hip, at most
THIGH_REACHES = 0.45  # and how far beside it, at least
SHIN_SITS = 0.4  # how far the ankle is below the knee, at least, and beside it, at most
NOT_SQUATTING = 0.3  # how far the ankle is before the hip, at least
RAISED = 0.4  # how far a raised wrist is above the shoulders, at least
HANGING = 0.2  # and how far one that is not raised is below them, at least
TURNED_AWAY, TURNED_TO_US = 0.25, 0.45  # the least distance of the shoulders across
NOSE_BETWEEN = 0.25  # how far from each eye the nose is, at least, in parts of their distance

_FACE = ("nose", "left_eye", "right_eye")


def pose_claims(everybody: Everybody) -> list[Claim]:
    return [
        _claim(
            "standing",
            is_standing,
            before=("standing",),
            after=("standing", "who stands", "standing up", "that is standing"),
        ),
        _claim(
            "sitting",
            is_sitting,
            before=("sitting", "seated"),
            after=("sitting", "who sits", "sitting down", "that is sitting", "who is seated"),
        ),
        _claim("lying", is_lying, after=("lying down", "who lies", "that is lying down")),
        _claim(
            "bending over",
            is_bending,
            after=("bending over", "bent over", "leaning forward", "who bends over"),
        ),
        _claim(
            "both arms raised",
            lambda keypoints: _raised(keypoints, 2),
            after=(
                "with raised arms",
                "with both arms up",
                "with arms in the air",
                "with arms raised",
            ),
        ),
        _claim(
            "one arm raised",
            lambda keypoints: _raised(keypoints, 1),
            after=("with one arm raised", "raising one arm", "with one arm up", "with one hand up"),
        ),
        _claim(
            "facing away",
            is_facing_away,
            after=("facing away", "whose back is to us", "seen from behind", "not facing us"),
        ),
        _claim(
            "facing us",
            is_facing_us,
            after=("facing us", "facing the camera", "who faces the camera"),
        ),
    ]


def has_pose(person: Person, name: str, pose: Pose) -> Truth:
    """Of a person; not sure where no keypoints are known."""
    if person.keypoints is None:
        return None
    if name not in person.poses:
        person.poses[name] = pose(person.keypoints)
    return person.poses[name]


def is_standing(keypoints: Keypoints) -> Truth:
    """A torso over straight legs; walking counts."""
    body = Body(keypoints)
    legs = body.legs()
    if body.is_upright() and len(legs) == 2 and all(_is_straight(*leg, body.torso) for leg in legs):
        return True
    seated = any(pose(keypoints) for pose in (is_sitting, is_lying))
    return False if seated else None


def is_sitting(keypoints: Keypoints) -> Truth:
    """Seen from a side: thighs level, shins down, feet well before the hips (no squatting)."""
    body = Body(keypoints)
    legs = body.legs()
    if body.is_upright() and legs:
        if all(_is_seated(*leg, body.torso) for leg in legs):
            return True
        if len(legs) == 2 and all(_is_straight(*leg, body.torso) for leg in legs):
            return False
    return False if is_lying(keypoints) else None


def is_lying(keypoints: Keypoints) -> Truth:
    """Torso and thighs level."""
    body = Body(keypoints)
    if body.is_upright():
        return False
    across, down = np.abs(body.spine)
    knees = [knee - hip for hip, knee, _ in body.legs()]
    level = across >= LEVEL * down and body.torso > 0
    return True if level and knees and all(abs(x) >= LEVEL * abs(y) for x, y in knees) else None


def is_bending(keypoints: Keypoints) -> Truth:
    """A torso far from upright over straight legs."""
    body = Body(keypoints)
    if body.is_upright():
        return False
    across, down = np.abs(body.spine)
    legs = body.legs()
    over = body.torso > 0 and across >= BENT * down
    return (
        True
        if over and legs and all(_is_straight(*leg, 0.8 * body.torso) for leg in legs)
        else None
    )


def is_facing_away(keypoints: Keypoints) -> Truth:
    """The head is seen, no face is, and the left shoulder is on the left."""
    if any(is_visible(keypoints, name) for name in _FACE):
        return False
    body = Body(keypoints)
    ear = any(is_visible(keypoints, name) for name in ("left_ear", "right_ear"))
    back = body.shoulders_across() >= TURNED_AWAY * body.torso > 0
    return True if ear and back and body.is_upright() else None


def is_facing_us(keypoints: Keypoints) -> Truth:
    """Both eyes and the nose between them are seen, and the left shoulder is on the right."""
    if is_facing_away(keypoints):
        return False
    body = Body(keypoints)
    front = -body.shoulders_across() >= TURNED_TO_US * body.torso > 0
    if not front or not all(is_visible(keypoints, name) for name in _FACE):
        return None
    nose, left, right = (keypoints[INDEX[name], 0] for name in _FACE)
    between = NOSE_BETWEEN * (left - right)
    return True if left > right and right + between <= nose <= left - between else None


def is_whole(keypoints: Keypoints) -> bool:
    """Whether somebody is seen from head to foot."""
    head = keypoints[[INDEX[name] for name in _FACE], 2] > 0
    return bool(head.any()) and has_feet(keypoints)


def _is_straight(hip: Point, knee: Point, ankle: Point, torso: float) -> bool:
    """Whether a leg stands."""
    thigh, shin, whole = knee - hip, ankle - knee, ankle - hip
    down = thigh[1] >= THIGH_STANDS * torso and shin[1] >= SHIN_STANDS * torso
    steep = abs(whole[0]) <= STEEP * whole[1]
    straight = np.hypot(*whole) >= STRAIGHT * (np.hypot(*thigh) + np.hypot(*shin))
    return bool(down and steep and straight)


def _is_seated(hip: Point, knee: Point, ankle: Point, torso: float) -> bool:
    forward = 1 if knee[0] >= hip[0] else -1
    thigh, shin = knee - hip, ankle - knee
    return bool(
        abs(thigh[1]) <= THIGH_SITS * torso
        and abs(thigh[0]) >= THIGH_REACHES * torso
        and shin[1] >= SHIN_SITS * torso
        and abs(shin[0]) <= SHIN_SITS * torso
        and forward * (ankle[0] - hip[0]) >= NOT_SQUATTING * torso
    )


def _raised(keypoints: Keypoints, count: int) -> Truth:
    """Whether so many hands, and no more, are raised above the head."""
    hands = [_is_hand_raised(keypoints, side) for side in ("left", "right")]
    if None not in hands:
        return hands.count(True) == count
    return False if hands.count(False) > 2 - count else None


def _is_hand_raised(keypoints: Keypoints, side: str) -> Truth:
    body = Body(keypoints)
    wrist, elbow = body.at(f"{side}_wrist"), body.at(f"{side}_elbow")
    shoulder = body.at(f"{side}_shoulder")
    if wrist is None or elbow is None or shoulder is None or not body.is_upright():
        return None
    if wrist[1] >= shoulder[1] + HANGING * body.torso:
        return False
    heads = [
        y for y in (body.at(name) for name in _FACE + ("left_ear", "right_ear")) if y is not None
    ]
    above = bool(heads) and wrist[1] < min(point[1] for point in heads)
    return True if above and wrist[1] <= shoulder[1] - RAISED * body.torso else None


def _claim(
    name: str,
    pose: Pose,
    *,
    before: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
) -> Claim:
    def holds(everybody: Everybody, index: int) -> Truth:
        return has_pose(everybody.people[index], name, pose)

    return Claim(name, "pose", holds, before, after)
