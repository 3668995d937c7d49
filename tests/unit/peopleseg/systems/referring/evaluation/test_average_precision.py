"""OKS, and the average precision of groups, beside pycocotools."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.referring.evaluation.average_precision import (
    THRESHOLDS,
    AveragePrecision,
    average_precision,
)
from peopleseg.systems.referring.evaluation.oks import KEYPOINTS, SIGMAS, oks

SIDE = 200  # of a made-up image, pixels
GROUPS = 20


def coco(people: list[dict[str, Any]], others: list[dict[str, Any]] | None = None) -> COCO:
    """A COCO object of one person an image, or of what was found in as many images."""
    made = COCO()
    entries = people if others is None else others
    made.dataset = {
        "images": [{"id": number, "width": SIDE, "height": SIDE} for number in range(len(people))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"category_id": 1, "iscrowd": 0, **entry, "id": number}
            for number, entry in enumerate(entries, start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        made.createIndex()
    return made


def by_pycocotools(
    people: list[dict[str, Any]], found: list[dict[str, Any]], kind: str
) -> tuple[AveragePrecision, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco(people), coco(people, found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
    precisions = evaluation.eval["precision"][:, :, 0, 0, -1]
    assert (precisions > -1).all()
    return AveragePrecision(precisions.mean(), precisions[0].mean()), evaluation


def flat(points: NDArray[np.float64], visible: NDArray[np.int64]) -> list[float]:
    """COCO's 51 numbers."""
    numbers: list[float] = np.concatenate((points, visible[:, None]), axis=1).ravel().tolist()
    return numbers


def made_up_poses(
    random: np.random.Generator, count: int
) -> list[tuple[NDArray[np.float64], NDArray[np.int64], float]]:
    """Keypoints, COCO's visibility and the area of so many people."""
    people = []
    for _ in range(count):
        visible = random.integers(0, 3, KEYPOINTS)
        visible[random.integers(KEYPOINTS)] = 2
        points = random.uniform(0, SIDE, (KEYPOINTS, 2))
        people.append((points, visible, float(random.uniform(50, 20_000))))
    return people


def real_poses(file: Path) -> list[tuple[NDArray[np.float64], NDArray[np.int64], float]]:
    entries = json.loads(file.read_text())["annotations"]
    posed = [one for one in entries if one.get("num_keypoints")]
    arrays = [np.array(one["keypoints"], np.float64).reshape(KEYPOINTS, 3) for one in posed]
    return [
        (a[:, :2], a[:, 2].astype(np.int64), one["area"])
        for a, one in zip(arrays, posed, strict=True)
    ]


def check_poses(
    poses: list[tuple[NDArray[np.float64], NDArray[np.int64], float]], random: np.random.Generator
) -> None:
    """That OKS of each group, and the AP, are pycocotools' own."""
    people, results, scores, fits = [], [], [], []
    for number, (points, visible, area) in enumerate(poses):
        blur = np.sqrt(area) * random.choice([0.02, 0.1, 0.3], (GROUPS, 1, 1))
        groups = points + random.normal(size=(GROUPS, KEYPOINTS, 2)) * blur
        # Two decimals, so that there are equal scores, also in one prompt.
        scores.append(np.round(random.random(GROUPS), 2))
        fits.append(oks(groups, points, visible > 0, area))
        person = {"keypoints": flat(points, visible), "num_keypoints": int((visible > 0).sum())}
        people.append({**person, "image_id": number, "area": area, "bbox": [0, 0, 1, 1]})
        for one, score in zip(groups, scores[-1], strict=True):
            entry = {"image_id": number, "score": score, "area": 1.0, "bbox": [0, 0, 1, 1]}
            results.append({**entry, "keypoints": flat(one, np.ones(KEYPOINTS, np.int64))})
    expected, evaluation = by_pycocotools(people, results, "keypoints")
    np.testing.assert_allclose(evaluation.params.kpt_oks_sigmas, SIGMAS)
    for number, (own, score) in enumerate(zip(fits, scores, strict=True)):
        best_first = np.argsort(-score, kind="mergesort")
        np.testing.assert_allclose(evaluation.ious[number, 1][:, 0], own[best_first], atol=1e-12)
    assert expected.ap is not None and 0.05 < expected.ap < 0.95
    assert average_precision(scores, fits) == pytest.approx(expected, abs=1e-6)


def test_of_made_up_poses_it_is_pycocotools_ap(random: np.random.Generator) -> None:
    check_poses(made_up_poses(random, 40), random)


def test_of_real_poses_it_is_pycocotools_ap(people_data: Path, random: np.random.Generator) -> None:
    poses = real_poses(people_data / "person_val.json")
    assert len(poses) > 100
    check_poses(poses, random)


def test_of_masks_it_is_pycocotools_ap(random: np.random.Generator) -> None:
    people, results, scores, fits = [], [], [], []
    for number in range(25):
        true = np.zeros((SIDE, SIDE), np.uint8)
        true[20:120, 30:90] = 1
        scores.append(np.round(random.random(5), 1))
        fits.append(np.zeros(5))
        area = int(true.sum())
        people.append({"image_id": number, "area": area, "segmentation": encode_rle(true)})
        for group, shift in enumerate(random.integers(0, 40, 5)):
            found = np.roll(true, shift, axis=1)
            fits[-1][group] = (found & true).sum() / (found | true).sum()
            entry = {"image_id": number, "score": scores[-1][group], "area": area}
            results.append({**entry, "segmentation": encode_rle(found)})
    for entry in (*people, *results):
        entry["bbox"] = [0, 0, 1, 1]
    expected, _ = by_pycocotools(people, results, "segm")
    assert expected.ap is not None and 0.05 < expected.ap < 0.95
    assert average_precision(scores, fits) == pytest.approx(expected, abs=1e-6)


def test_of_prompts_with_other_numbers_of_groups_it_is_pycocotools_ap(
    random: np.random.Generator,
) -> None:
    """One has none, and some of the others' best miss."""
    people, results, scores, fits = [], [], [], []
    for number, groups in enumerate((0, 1, 4, 20, 7, 2)):
        points, visible, area = made_up_poses(random, 1)[0]
        found = points + random.normal(size=(groups, KEYPOINTS, 2)) * 0.05 * np.sqrt(area)
        scores.append(random.random(groups))
        fits.append(oks(found, points, visible > 0, area))
        person = {"keypoints": flat(points, visible), "num_keypoints": int((visible > 0).sum())}
        people.append({**person, "image_id": number, "area": area, "bbox": [0, 0, 1, 1]})
        for one, score in zip(found, scores[-1], strict=True):
            entry = {"image_id": number, "score": score, "area": 1.0, "bbox": [0, 0, 1, 1]}
            results.append({**entry, "keypoints": flat(one, np.ones(KEYPOINTS, np.int64))})
    expected, _ = by_pycocotools(people, results, "keypoints")
    assert average_precision(scores, fits) == pytest.approx(expected, abs=1e-6)


def test_one_right_group_before_all_wrong_ones_is_1_and_after_them_less() -> None:
    fits = [np.array([1.0, 0.0, 0.0])] * 2
    assert average_precision([np.array([0.9, 0.1, 0.2])] * 2, fits) == (1, 1)
    last = average_precision([np.array([0.1, 0.9, 0.2])] * 2, fits)
    # Of six the last two are right, and precision is read where it is highest from there on.
    assert last == pytest.approx((2 / 6, 2 / 6))


def test_a_second_group_that_fits_is_wrong() -> None:
    twice = average_precision([np.array([0.9, 0.8]), np.array([0.7])], [np.ones(2), np.ones(1)])
    # 51 of the 101 recalls are up to 1/2; then precision is 2/3.
    assert twice.ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_fit_of_each_threshold_counts_from_it_on() -> None:
    for number, threshold in enumerate(THRESHOLDS, start=1):
        found = average_precision([np.ones(1)], [np.array([threshold])])
        assert found == pytest.approx((number / 10, 1))
    assert average_precision([np.ones(1)], [np.array([0.4999])]) == (0, 0)


def test_without_anybody_to_find_there_is_no_ap_and_without_groups_it_is_0() -> None:
    assert average_precision([], []) == (None, None)
    assert average_precision([np.zeros(0)], [np.zeros(0)]) == (0, 0)


def test_oks_is_that_of_a_slow_version(random: np.random.Generator) -> None:
    points, visible, area = made_up_poses(random, 1)[0]
    found = points + random.normal(size=(3, KEYPOINTS, 2)) * 5
    for one, similarity in zip(found, oks(found, points, visible > 0, area), strict=True):
        terms = []
        for k in range(KEYPOINTS):
            if visible[k]:
                square = (one[k, 0] - points[k, 0]) ** 2 + (one[k, 1] - points[k, 1]) ** 2
                terms.append(np.exp(-square / (2 * area * (2 * SIGMAS[k]) ** 2)))
        assert similarity == pytest.approx(sum(terms) / len(terms))


def test_oks_is_1_of_the_truth_and_not_a_number_where_nothing_is_known(
    random: np.random.Generator,
) -> None:
    points = random.uniform(0, SIDE, (KEYPOINTS, 2))
    known = np.ones(KEYPOINTS, np.bool_)
    assert oks(points[None], points, known, 100.0) == 1
    assert oks(points[None], points, known, 0.0) == 1
    assert oks(points[None] + 1, points, known, 0.0) == 0
    assert np.isnan(oks(points[None], points, ~known, 100.0)).tolist() == [True]
    assert oks(np.zeros((0, KEYPOINTS, 2)), points, known, 100.0).shape == (0,)
