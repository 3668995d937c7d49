"""The metrics of prompts, against a slow version, by known answers and by what is planted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from peopleseg.labels.coco import load_images, people_split
from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.measuring import measure
from peopleseg.systems.referring.evaluation.metrics import (
    CHANCE,
    CHANCE_OF_SEVERAL,
    MASK_AP,
    PERCENTS,
    POSE_AP,
    RIGHT_OF_SEVERAL,
    RIGHT_PERSON,
    TOLD_APART,
    Metrics,
    ReferringMetrics,
)
from peopleseg.systems.referring.evaluation.oks import KEYPOINTS
from peopleseg.systems.referring.evaluation.pckh import head_length, keypoints_right

SIZE = (24, 32)  # of an image, pixels
Mask = NDArray[np.uint8]
Pair = tuple[Groups, TruePerson]


def box(left: int, top: int = 4, width: int = 10, height: int = 16) -> Mask:
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def pose(seed: int = 0) -> NDArray[np.float64]:
    """Ears 6 pixels apart."""
    points = np.random.default_rng(seed).uniform(0, 24, (KEYPOINTS, 2))
    points[3:5] = (10, 5), (16, 5)
    return points


def person(
    mask: Mask | None = None, others: Sequence[Mask] = (), known: NDArray[np.bool_] | None = None
) -> TruePerson:
    known = np.ones(KEYPOINTS, np.bool_) if known is None else known
    return TruePerson(pose(), known, 160.0, mask, others, len(others) + 1)


def answer(*masks: Mask, points: NDArray[np.float64] | None = None) -> Groups:
    """A group for each mask, the first the best, all with the same pose."""
    points = pose() if points is None else points
    poses = np.repeat(points[None], len(masks), axis=0)
    return Groups(-np.arange(len(masks), dtype=float), poses, np.array(masks, np.bool_))


def pairs(count: int = 30) -> list[Pair]:
    """Random groups, and true people with unknown pixels, others and keypoints not known."""
    random = np.random.default_rng(3)
    made = []
    for number in range(count):
        mask = box(int(random.integers(4, 18)))
        mask[random.random(SIZE) < 0.1] = UNKNOWN
        known = random.random(KEYPOINTS) < (0 if number % 7 == 6 else 0.7)
        others = [box(int(random.integers(0, 22))) for _ in range(number % 3)]
        true = person(None if number % 5 == 4 else mask, others, known)
        groups = 5
        blur = random.choice([0.5, 4.0], (groups, 1, 1))  # pixels
        poses = pose() + random.normal(size=(groups, KEYPOINTS, 2)) * blur
        found = [box(int(random.integers(4, 18))) for _ in range(groups)]
        made.append((Groups(random.random(groups), poses, np.array(found) > 0), true))
    return made


def metrics(compared: Sequence[Pair]) -> Metrics:
    total = ReferringMetrics()
    for found, true in compared:
        total.add(found, true)
    return total.metrics()


def pixels(mask: NDArray) -> set[tuple[int, int]]:
    return {(y, x) for y in range(SIZE[0]) for x in range(SIZE[1]) if mask[y, x] == 1}


def slow_iou(found: NDArray, true: NDArray, known: set[tuple[int, int]]) -> tuple[int, int]:
    a, b = pixels(found) & known, pixels(true) & known
    return len(a & b), len(a | b)


def slow_metrics(compared: Sequence[Pair]) -> dict[str, float]:
    """But for the APs, by sets of pixels and loops over keypoints."""
    overlaps, apart, chances, right, judged = [], [], [], 0, 0
    for found, true in compared:
        best = sorted(range(len(found.scores)), key=lambda g: -found.scores[g])[0]
        if true.known[3] and true.known[4]:
            for k in range(KEYPOINTS):
                if true.known[k]:
                    judged += 1
                    right += np.hypot(*(found.keypoints[best, k] - true.keypoints[k])) <= 6 / 2
        if true.mask is None or found.masks is None:
            continue
        known = pixels(true.mask != UNKNOWN)
        overlaps.append(slow_iou(found.masks[best], true.mask, known))
        chances.append(1 / (len(true.others) + 1))
        if true.others:
            each = [slow_iou(found.masks[best], other, known) for other in true.others]
            apart.append(overlaps[-1][0] / overlaps[-1][1] > max(i / u for i, u in each))
    ious = [i / u for i, u in overlaps]
    return {
        "pckh": right / judged,
        "oiou": sum(i for i, _ in overlaps) / sum(u for _, u in overlaps),
        "miou": sum(ious) / len(ious),
        **{f"precision_at_{p}": float(np.mean([iou >= p / 100 for iou in ious])) for p in PERCENTS},
        RIGHT_PERSON: float(np.mean([iou >= 0.5 for iou in ious])),
        CHANCE: float(np.mean(chances)),
        RIGHT_OF_SEVERAL: float(np.mean(np.array(ious)[np.array(chances) < 1] >= 0.5)),
        CHANCE_OF_SEVERAL: float(np.mean([one for one in chances if one < 1])),
        TOLD_APART: float(np.mean(apart)),
        "prompts": len(compared),
        "prompts_with_mask": len(ious),
        "prompts_with_pose": sum(1 for _, true in compared if true.known.any()),
    }


def test_all_metrics_are_those_of_a_slow_version() -> None:
    compared = pairs()
    found = metrics(compared)
    expected = slow_metrics(compared)
    assert all(0 < expected[name] < 1 for name in ("oiou", "pckh", RIGHT_PERSON, TOLD_APART))
    assert set(found) == set(expected) | {POSE_AP, "pose_ap50", MASK_AP, "mask_ap50"}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert 0 < found[POSE_AP] < 1 and 0 < found[MASK_AP] < 1  # type: ignore[operator]


def test_prompts_measured_elsewhere_may_be_put_together() -> None:
    compared = pairs(9)
    measured = [measure(*one) for one in compared]
    assert ReferringMetrics(measured).metrics() == metrics(compared)
    apart = ReferringMetrics(measured[:4]) + ReferringMetrics() + ReferringMetrics(measured[4:])
    assert apart.metrics() == metrics(compared)


def test_the_order_of_groups_changes_nothing() -> None:
    random = np.random.default_rng(1)
    shuffled = []
    for found, true in pairs():
        order = random.permutation(len(found.scores))
        assert found.masks is not None
        groups = Groups(found.scores[order], found.keypoints[order], found.masks[order])
        shuffled.append((groups, true))
    assert metrics(shuffled) == pytest.approx(metrics(pairs()))


def test_the_truth_is_1_in_every_metric() -> None:
    found = metrics([(answer(box(4)), person(box(4), [box(20)]))] * 3)
    counts = {name: found.pop(name) for name in list(found) if name.startswith("prompts")}
    assert set(counts.values()) == {3}
    assert found.pop(CHANCE) == found.pop(CHANCE_OF_SEVERAL) == 0.5
    assert set(found.values()) == {1}


def test_another_person_is_0_in_every_metric_of_the_best_group() -> None:
    wrong = answer(box(20), box(4), points=pose() + 50)
    found = metrics([(wrong, person(box(4), [box(20)]))])
    for name in ("oiou", "miou", "precision_at_50", RIGHT_PERSON, TOLD_APART, "pckh", POSE_AP):
        assert found[name] == 0, name
    assert found[MASK_AP] == pytest.approx(0.5)  # the second group is right


def test_who_is_found_in_half_is_told_apart_from_who_is_further() -> None:
    half = box(4, height=8)  # of 16 rows
    found = metrics([(answer(half), person(box(4), [box(20)]))])
    assert found["miou"] == 0.5 and found[RIGHT_PERSON] == 1 and found[TOLD_APART] == 1
    assert found["precision_at_60"] == 0
    between = box(12)  # two columns of the one, and more of the other
    found = metrics([(answer(between), person(box(4), [box(13)]))])
    assert found[RIGHT_PERSON] == 0 and found[TOLD_APART] == 0


def test_pixels_that_are_unknown_count_nowhere() -> None:
    mask = box(4)
    mask[:, 8:12] = UNKNOWN
    found, others = box(4), box(0, top=0, width=2, height=2)
    before = measure(answer(found), person(mask, [others]))
    found[:, 8:12] = 1
    others[:, 8:12] = 1
    after = measure(answer(found), person(mask, [others]))
    assert before.overlap == after.overlap and before.overlap.iou == 1
    np.testing.assert_array_equal(before.ious, after.ious)


def test_a_prompt_whose_mask_or_pose_is_not_known_is_left_out() -> None:
    nobody = np.zeros(KEYPOINTS, np.bool_)
    for mask in (None, np.full(SIZE, UNKNOWN, np.uint8), np.zeros(SIZE, np.uint8)):
        found = metrics([(answer(box(4)), person(mask, [box(20)], known=nobody))])
        assert found.pop("prompts") == 1
        assert found.pop("prompts_with_mask") == found.pop("prompts_with_pose") == 0
        assert set(found.values()) == {None}
    assert set(metrics([]).values()) == {None, 0}


def test_nobody_found_is_wrong() -> None:
    nobody = Groups(np.zeros(0), np.zeros((0, KEYPOINTS, 2)), np.zeros((0, *SIZE), np.bool_))
    found = metrics([(nobody, person(box(4), [box(20)])), (answer(box(4)), person(box(4)))])
    for name in ("oiou", "miou", "pckh", RIGHT_PERSON):
        assert found[name] == 0.5
    assert found[TOLD_APART] == 0
    assert found[POSE_AP] == found[MASK_AP] == pytest.approx(51 / 101)


def test_only_groups_with_a_mask_enter_the_mask_ap() -> None:
    groups = answer(box(20), box(4), box(4))
    best = Groups(groups.scores, groups.keypoints, np.array([box(20), box(4)]) > 0, [0, 2])
    found = metrics([(best, person(box(4)))])
    assert found[MASK_AP] == pytest.approx(0.5) and found["miou"] == 0


def test_an_answer_without_masks_has_the_metrics_of_poses_alone() -> None:
    groups = answer(box(4))
    found = metrics([(Groups(groups.scores, groups.keypoints, None), person(box(4)))])
    assert found[POSE_AP] == found["pckh"] == 1
    assert found[MASK_AP] is None and found[RIGHT_PERSON] is None


def test_keypoints_are_right_within_half_a_head() -> None:
    true, known = pose(), np.ones(KEYPOINTS, np.bool_)
    assert head_length(true, known) == 6
    found = true.copy()
    found[0] += (3.0, 0.0)
    found[1] += (0.0, 3.01)
    assert keypoints_right(found, true, known) == (KEYPOINTS - 1, KEYPOINTS)
    known[7:] = False
    assert keypoints_right(found, true, known) == (6, 7)


@pytest.mark.parametrize("ear", [3, 4])
def test_without_both_ears_no_keypoint_is_judged(ear: int) -> None:
    true, known = pose(), np.ones(KEYPOINTS, np.bool_)
    known[ear] = False
    assert keypoints_right(true, true, known) == (0, 0)
    true[3] = true[4]
    assert keypoints_right(true, true, np.ones(KEYPOINTS, np.bool_)) == (0, 0)


def test_of_real_people_the_ious_are_those_of_pycocotools(people_data: Path) -> None:
    """Everybody is a group in turn, the best one the neighbour of the person meant."""
    images, annotations = people_split(people_data)
    shown = [one for one in load_images(annotations, images) if 2 < len(one.masked_people) < 6]
    right = wrong = 0
    for image in shown[:6]:
        masks = [one.mask(image.height, image.width) for one in image.masked_people]
        rles = [encode_rle(mask) for mask in masks]
        ious = coco_mask.iou(rles, rles, [0] * len(rles))
        poses = np.zeros((len(masks), KEYPOINTS, 2))
        for meant, mask in enumerate(masks):
            others = masks[:meant] + masks[meant + 1 :]
            for best in (meant, (meant + 1) % len(masks)):
                scores = np.arange(len(masks)) == best
                found = Groups(scores.astype(float), poses, np.array(masks) > 0)
                one = measure(found, person(mask, others))
                np.testing.assert_allclose(one.ious, ious[meant])
                assert one.overlap.iou == pytest.approx(ious[meant, best])
                assert one.overlap.told_apart == (best == meant)
                right, wrong = right + (best == meant), wrong + (best != meant)
    assert right == wrong > 20


def test_what_does_not_fit_is_refused() -> None:
    groups = answer(box(4), box(20))
    masks = groups.masks
    assert masks is not None
    with pytest.raises(ValueError, match="the best group, 0, has no mask, only"):
        Groups(groups.scores, groups.keypoints, masks[1:], [1])
    with pytest.raises(ValueError, match="1 masks for the groups"):
        Groups(groups.scores, groups.keypoints, masks[:1])
    with pytest.raises(ValueError, match="1 poses for 2 scores"):
        Groups(groups.scores, groups.keypoints[:1], masks)
    with pytest.raises(ValueError, match=r"masks of \(24, 32\) beside a true one of \(32, 24\)"):
        measure(groups, person(box(4).T))
