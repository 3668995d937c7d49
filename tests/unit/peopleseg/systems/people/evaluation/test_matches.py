"""Who is right and who is missed, against a plain matching and made-up images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.evaluation.matches import Matched, matched
from peopleseg.systems.people.evaluation.mistakes import (
    false_positives,
    kinds_of,
    missed_by_size,
    worst,
)
from peopleseg.systems.people.evaluation.scores import Judged, best, curve, reliability

SIDE = 200  # of the images, pixels
Box = tuple[float, float, float, float]


def annotation(box: Box, *, crowd: bool = False, masked: bool = True) -> Annotation:
    """Whose mask fills the box."""
    return Annotation(box, encode_rle(filled(box)) if masked else None, crowd)


def filled(box: Box) -> np.ndarray:
    x1, y1, x2, y2 = (round(side) for side in box)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def image(*annotations: Annotation, number: int = 1) -> AnnotatedImage:
    return AnnotatedImage(number, Path(f"{number}.jpg"), SIDE, SIDE, list(annotations))


def result(box: Box, score: float = 0.9, number: int = 1) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {
        "image_id": number,
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "score": score,
        "segmentation": encode_rle(filled(box)),
    }


def iou(a: Box, b: Box, *, own_area: bool = False) -> float:
    """Or the part of a that lies in b."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b))
    inside = width * height
    return inside / (area_a if own_area else area_a + area_b - inside)


def plainly_matched(true: list[Annotation], found: list[tuple[Box, float]]) -> list[str]:
    """What each found one is, best score first: right, ignored or wrong."""
    people = [one.box_xyxy for one in true if not one.crowd]
    crowds = [one.box_xyxy for one in true if one.crowd]
    verdicts = []
    for box, _ in sorted(found, key=lambda one: -one[1]):
        fits = max(people, key=lambda person: iou(box, person), default=None)
        if fits is not None and iou(box, fits) >= 0.5:
            people.remove(fits)
            verdicts.append("right")
        elif any(iou(box, crowd, own_area=True) >= 0.5 for crowd in crowds):
            verdicts.append("ignored")
        else:
            verdicts.append("wrong")
    return verdicts


def verdicts_of(one: Matched) -> list[str]:
    names = np.where(one.right, "right", np.where(one.ignored, "ignored", "wrong"))
    return names.tolist()


def random_box(random: np.random.Generator) -> Box:
    x1, y1 = random.integers(0, SIDE - 60, 2)
    width, height = random.integers(20, 60, 2)
    return float(x1), float(y1), float(x1 + width), float(y1 + height)


def near(box: Box, random: np.random.Generator) -> Box:
    x1, y1, x2, y2 = np.array(box) + random.integers(-12, 13, 4)
    return max(0.0, x1), max(0.0, y1), min(SIDE, max(x2, x1 + 5)), min(SIDE, max(y2, y1 + 5))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(30))
def test_random_answers_are_matched_as_plainly(seed: int, kind: Any) -> None:
    random = np.random.default_rng(seed)
    true = [annotation(random_box(random), crowd=random.random() < 0.25) for _ in range(8)]
    boxes = [near(one.box_xyxy, random) for one in true for _ in range(2)]
    boxes += [random_box(random) for _ in range(4)]
    found = list(zip(boxes, random.permutation(len(boxes)) / 100 + 0.01, strict=True))
    (one,) = matched([image(*true)], [result(box, score) for box, score in found], kind)
    expected = plainly_matched(true, found)
    assert verdicts_of(one) == expected
    assert {"right", "wrong"} <= set(expected)
    assert len(one.people) == sum(not person.crowd for person in true)
    assert len(one.people) - one.missed.sum() == expected.count("right")
    assert len(one.wrong) == expected.count("wrong")


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_images_together_are_the_images_one_by_one(kind: Any) -> None:
    random = np.random.default_rng(0)
    images = [
        image(*[annotation(random_box(random)) for _ in range(n)], number=7 - n) for n in range(4)
    ]
    results = [
        result(near(person.box_xyxy, random), random.random(), one.id)
        for one in images
        for person in one.people
    ]
    together = matched(images, results, kind)
    assert [one.image for one in together] == images
    for one in together:
        own = [entry for entry in results if entry["image_id"] == one.image.id]
        (alone,) = matched([one.image], own, kind)
        assert verdicts_of(alone) == verdicts_of(one)


LEFT, RIGHT = (10.0, 10.0, 60.0, 110.0), (120.0, 10.0, 190.0, 110.0)
SLIPPED = (40.0, 10.0, 90.0, 110.0)  # IoU with LEFT: a quarter
HAND = (12.0, 12.0, 22.0, 22.0)  # within LEFT
NOWHERE = (70.0, 130.0, 100.0, 190.0)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_every_false_positive_is_what_it_was_made_as(kind: Any) -> None:
    crowd = annotation((0.0, 150.0, 200.0, 200.0), crowd=True)
    at_the_crowd = (110.0, 120.0, 150.0, 160.0)  # a quarter of it
    made = {
        LEFT: None,  # right
        (11.0, 10.0, 61.0, 110.0): "duplicate",
        SLIPPED: "poorly_placed",
        HAND: "part_or_crowd",
        at_the_crowd: "part_or_crowd",
        (10.0, 112.0, 40.0, 140.0): "background",
        (60.0, 152.0, 100.0, 190.0): None,  # in the crowd
    }
    results = [result(box, 0.9 - number / 100) for number, box in enumerate(made)]
    (one,) = matched([image(annotation(LEFT), annotation(RIGHT), crowd)], results, kind)
    assert kinds_of(one, kind) == [name for name in made.values() if name]
    assert false_positives([one], kind) == {
        "duplicate": 1,
        "poorly_placed": 1,
        "part_or_crowd": 2,
        "background": 1,
    }
    assert missed_by_size([one]) == {
        "small": {"people": 0, "missed": 0},
        "medium": {"people": 2, "missed": 1},
        "large": {"people": 0, "missed": 0},
    }


def test_where_a_mask_is_not_known_no_mask_is_wrong_or_missed() -> None:
    unknown = image(annotation(LEFT, masked=False), annotation(RIGHT))
    (one,) = matched([unknown], [result(LEFT), result(RIGHT)], "segm")
    assert verdicts_of(one) == ["ignored", "right"] and len(one.people) == 1
    (one,) = matched([unknown], [], "segm")
    assert one.missed.tolist() == [True]
    (one,) = matched([unknown], [result(LEFT)], "bbox")
    assert verdicts_of(one) == ["right"] and len(one.people) == 2


def test_nobody_true_and_nobody_found_is_no_mistake() -> None:
    (one,) = matched([image()], [], "segm")
    assert kinds_of(one, "segm") == [] and worst([one], 20) == []
    (wrong,) = matched([image()], [result(LEFT)], "segm")
    assert kinds_of(wrong, "segm") == ["background"] and worst([wrong], 20) == [wrong]


def test_the_worst_have_the_most_mistakes_then_the_higher_scores() -> None:
    annotated_images = [image(annotation(LEFT), number=number) for number in range(1, 5)]
    results = [
        result(LEFT, 0.9, 1),  # right
        result(NOWHERE, 0.5, 2),  # one false, one missed
        result(NOWHERE, 0.7, 3),
        result(LEFT, 0.8, 4),
        result(NOWHERE, 0.9, 4),  # one false
    ]
    images = matched(annotated_images, results, "segm")
    assert [one.image.id for one in worst(images, 20)] == [3, 2, 4]
    assert [one.image.id for one in worst(images, 1)] == [3]


def test_precision_and_recall_are_those_of_people_from_a_score_on() -> None:
    judged = Judged(np.array([0.9, 0.6, 0.3]), np.array([True, True, False]), people=4)
    at = {point.score: point for point in curve(judged)}
    assert (at[0.05].precision, at[0.05].recall) == (2 / 3, 0.5)
    assert (at[0.6].precision, at[0.6].recall) == (1.0, 0.5)
    assert (at[0.61].precision, at[0.61].recall) == (1.0, 0.25)
    assert (at[0.95].precision, at[0.95].recall, at[0.95].f1) == (None, 0.0, 0.0)
    for point in at.values():
        if point.precision and point.recall:
            mean = 2 * point.precision * point.recall / (point.precision + point.recall)
            assert point.f1 == pytest.approx(mean)
    assert best(list(at.values())).score == 0.31  # from where the wrong one is left out
    assert best(list(at.values())).f1 == pytest.approx(2 / 3)


def test_recall_never_rises_with_the_score() -> None:
    random = np.random.default_rng(1)
    judged = Judged(random.random(200), random.random(200) < 0.5, people=150)
    recalls = [point.recall for point in curve(judged)]
    assert recalls == sorted(recalls, reverse=True)


def test_scores_that_are_the_share_right_are_reliable_and_others_are_not() -> None:
    scores = np.repeat([0.25, 0.75], 100)
    right = np.arange(200) % 100 < scores * 100
    calibrated = reliability(Judged(scores, right, people=100))
    assert calibrated["calibration_error"] == pytest.approx(0)
    assert [one["found"] for one in calibrated["bins"]] == [0, 0, 100, 0, 0, 0, 0, 100, 0, 0]
    assert calibrated["bins"][7] == {
        "from_score": 0.7,
        "found": 100,
        "mean_score": pytest.approx(0.75),
        "right": 0.75,
    }
    boastful = reliability(Judged(scores + 0.2, right, people=100))
    assert boastful["calibration_error"] == pytest.approx(0.2)
    assert reliability(Judged(scores[:0], right[:0], 100))["calibration_error"] is None


def test_a_score_of_one_is_in_the_last_bin() -> None:
    bins = reliability(Judged(np.array([1.0, 0.0]), np.array([True, False]), 1))["bins"]
    assert (bins[0]["found"], bins[-1]["found"]) == (1, 1)
