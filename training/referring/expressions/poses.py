"""Poses that keypoints make sure. y grows downwards.

Lengths are in parts of the torso, from the middle of the shoulders to that of the hips. Each
answers True, False, or None where the keypoints do not make it sure.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX, VISIBLE
from training.referring.expressions.claims import Claim, Truth
from training.referring.expressions.people import Everybody, Person

Keypoints = NDArray[np.float32]  # (17, 3) x, y, visibility
Point = NDArray[np.float32]  # x, y
Pose = Callable[[Keypoints], Truth]

UPRIGHT = 0.85  # of the torso's length is how far it reaches down
LEVEL = 2.0  # what lies is this much longer across than down
BENT = 0.8  # a torso that bends over is at least this much longer across than down
THIGH_STANDS, SHIN_STANDS = 0.5, 0.45  # how far they reach down, at least
STRAIGHT = 0.94  # hip to ankle, in parts of the way over the knee
STEEP = 0.7  # how far beside the hip the ankle of a leg that stands is, at most, in parts of below
THIGH_SITS = 0.35  # how far a sitter's knee is below or above the hip, at most
THIGH_REACHES = 0.45  # and how far beside it, at least
SHIN_SITS = 0.4  # how far the ankle is below the knee, at least, and beside it, at most
NOT_SQUATTING = 0.3  # how far the ankle is before the hip, at least
RAISED = 0.4  # how far a raised wrist is above the shoulders, at least
HANGING = 0.2  # and how far one that is not raised is below them, at least
TURNED = 0.25  # the distance of the shoulders across, of who surely shows back or front

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
    body = _Body(keypoints)
    legs = body.legs()
    if body.is_upright() and len(legs) == 2 and all(_is_straight(*leg, body.torso) for leg in legs):
        return True
    seated = any(pose(keypoints) for pose in (is_sitting, is_lying))
    return False if seated else None


def is_sitting(keypoints: Keypoints) -> Truth:
    """Seen from a side: thighs level, shins down, feet well before the hips (no squatting)."""
    body = _Body(keypoints)
    legs = body.legs()
    if body.is_upright() and legs:
        if all(_is_seated(*leg, body.torso) for leg in legs):
            return True
        if len(legs) == 2 and all(_is_straight(*leg, body.torso) for leg in legs):
            return False
    return False if is_lying(keypoints) else None


def is_lying(keypoints: Keypoints) -> Truth:
    """Torso and thighs level."""
    body = _Body(keypoints)
    if body.is_upright():
        return False
    across, down = np.abs(body.spine)
    knees = [knee - hip for hip, knee, _ in body.legs()]
    level = across >= LEVEL * down and body.torso > 0
    return True if level and knees and all(abs(x) >= LEVEL * abs(y) for x, y in knees) else None


def is_bending(keypoints: Keypoints) -> Truth:
    """A torso far from upright over straight legs."""
    body = _Body(keypoints)
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
    if any(_is_visible(keypoints, name) for name in _FACE):
        return False
    body = _Body(keypoints)
    ear = any(_is_visible(keypoints, name) for name in ("left_ear", "right_ear"))
    back = body.shoulders_across() >= TURNED * body.torso > 0
    return True if ear and back and body.is_upright() else None


def is_facing_us(keypoints: Keypoints) -> Truth:
    """Both eyes and the nose between them are seen, and the left shoulder is on the right."""
    if is_facing_away(keypoints):
        return False
    body = _Body(keypoints)
    front = -body.shoulders_across() >= TURNED * body.torso > 0
    if not front or not all(_is_visible(keypoints, name) for name in _FACE):
        return None
    nose, left, right = (keypoints[INDEX[name], 0] for name in _FACE)
    return True if right < nose < left else None


def is_whole(keypoints: Keypoints) -> bool:
    """Whether somebody is seen from head to foot."""
    known = keypoints[:, 2] > 0
    head = known[[INDEX[name] for name in _FACE]].any()
    return bool(head and known[INDEX["left_ankle"]] and known[INDEX["right_ankle"]])


class _Body:
    """The parts of a body whose keypoints are known."""

    def __init__(self, keypoints: Keypoints) -> None:
        self._keypoints = keypoints
        self.spine = np.zeros(2, np.float32)  # x, y from the shoulders to the hips
        ends = [self._middle("shoulder"), self._middle("hip")]
        if ends[0] is not None and ends[1] is not None:
            self.spine = ends[1] - ends[0]
        self.torso = float(np.hypot(*self.spine))  # its length; 0 where it is not known

    def at(self, name: str) -> Point | None:
        x, y, visibility = self._keypoints[INDEX[name]]
        return np.array((x, y), np.float32) if visibility > 0 else None

    def is_upright(self) -> bool:
        return self.torso > 0 and bool(self.spine[1] >= UPRIGHT * self.torso)

    def legs(self) -> list[tuple[Point, Point, Point]]:
        """Hip, knee, ankle of the legs of which all are known."""
        found = []
        for side in ("left", "right"):
            hip, knee, ankle = (self.at(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
            if hip is not None and knee is not None and ankle is not None:
                found.append((hip, knee, ankle))
        return found

    def shoulders_across(self) -> float:
        """How far the right shoulder is to the right of the left one; 0 where one is not known."""
        left, right = self.at("left_shoulder"), self.at("right_shoulder")
        return 0.0 if left is None or right is None else float(right[0] - left[0])

    def _middle(self, name: str) -> Point | None:
        left, right = self.at(f"left_{name}"), self.at(f"right_{name}")
        return None if left is None or right is None else (left + right) / 2


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
    body = _Body(keypoints)
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


def _is_visible(keypoints: Keypoints, name: str) -> bool:
    return bool(keypoints[INDEX[name], 2] == VISIBLE)


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
