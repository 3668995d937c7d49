"""Poses are told where keypoints make them sure, and not where they do not."""

import numpy as np
import pytest

from peopleseg.labels.keypoints import FLIPPED, INDEX, NAMES
from tests.data.skeletons import skeleton
from training.referring.expressions.body import Keypoints
from training.referring.expressions.claims import Truth
from training.referring.expressions.people import Everybody, Person
from training.referring.expressions.poses import is_whole, pose_claims

# What is surely true of each, and what surely is not; of the rest nothing is known.
SURE = {
    "standing": ({"standing", "facing us"}, {"sitting", "lying", "bending over", "facing away"}),
    "sitting": ({"sitting", "facing us"}, {"standing", "lying", "bending over"}),
    "squatting": (set(), {"lying", "bending over"}),
    "lying": ({"lying"}, {"standing", "sitting"}),
    "bending": ({"bending over"}, set()),
    "one arm raised": ({"one arm raised", "standing"}, {"both arms raised"}),
    "both arms raised": ({"both arms raised", "standing"}, {"one arm raised"}),
    "facing away": ({"facing away", "standing"}, {"facing us"}),
    "unknown": (set(), set()),
}
NEVER = {  # would be wrong
    "squatting": {"sitting", "standing"},
    "bending": {"sitting", "standing", "lying"},
    "lying": {"bending over"},
    "unknown": {"facing away"},
}


def told(keypoints: Keypoints | None) -> dict[str, Truth]:
    everybody = Everybody((300, 300), (Person((0, 0, 100, 100), 5000, keypoints),))
    return {claim.name: claim.holds(everybody, 0) for claim in pose_claims(everybody)}


@pytest.mark.parametrize("height", [20.0, 300.0])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("pose", SURE)
def test_a_pose_is_told(pose: str, flipped: bool, height: float) -> None:
    keypoints = skeleton(pose, x=150, y=20, height=height)
    if flipped:
        keypoints = keypoints[list(FLIPPED)]
        keypoints[:, 0] = 300 - keypoints[:, 0]
    truths = told(keypoints)
    true, false = SURE[pose]
    assert {name for name in truths if truths[name] is True} >= true
    assert {name for name in truths if truths[name] is False} >= false
    assert not {name for name in truths if truths[name] is True} & NEVER.get(pose, set())


def test_nothing_is_told_of_who_has_no_keypoints() -> None:
    assert set(told(None).values()) == {None}


@pytest.mark.parametrize("pose", ["standing", "sitting", "lying", "bending", "both arms raised"])
def test_with_fewer_keypoints_a_pose_gets_less_sure_but_never_another(pose: str) -> None:
    random = np.random.default_rng(0)
    whole = told(skeleton(pose))
    for _ in range(200):
        keypoints = skeleton(pose)
        keypoints[random.random(len(keypoints)) < 0.4] = 0
        for name, truth in told(keypoints).items():
            if name not in ("facing us", "facing away"):  # which ask what is not seen
                assert truth is None or truth is whole[name], (name, truth, whole[name])


def test_who_turns_the_back_is_told_by_the_shoulders_too() -> None:
    keypoints = skeleton("standing")  # who faces us, with a hidden face
    keypoints[[INDEX[name] for name in ("nose", "left_eye", "right_eye")], 2] = 1
    assert told(keypoints)["facing away"] is None


def test_whole_is_who_is_seen_from_head_to_foot() -> None:
    keypoints = skeleton("standing")
    assert is_whole(keypoints)
    keypoints[INDEX["left_ankle"], 2] = 0
    assert not is_whole(keypoints)


def test_flipping_pairs_left_with_right() -> None:
    assert [FLIPPED[index] for index in FLIPPED] == list(range(len(NAMES)))
    assert NAMES[FLIPPED[INDEX["left_knee"]]] == "right_knee" and FLIPPED[0] == 0
