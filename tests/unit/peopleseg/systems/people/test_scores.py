"""Scores that tell how likely a person is right, and answers without repetitions."""

import numpy as np
import pytest

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.contract import NO_PERSON_SCORE
from peopleseg.systems.people.response import people_of
from peopleseg.systems.people.scores import GIVEN_SCORE, ScoreFit, distinct, mask_confidences
from peopleseg.systems.people.selection import Rois, select_people
from tests.unit.peopleseg.systems.people.test_people import SQUARE, grid_boxes, predictions

UNCHANGED = ScoreFit(detection=1, mask=0, shift=0)
FIT = ScoreFit(detection=1.5, mask=3, shift=0.4)


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """(n, h, w) of the target to mask logits (n, 3, h, w), the rest background."""
    rest = np.maximum(1 - probabilities, 1e-9)
    nobody = np.full_like(probabilities, 1e-9)
    return np.log(np.stack((rest, np.maximum(probabilities, 1e-9), nobody), axis=1)).astype("f4")


def response(probabilities: np.ndarray, boxes: np.ndarray, scores: list[float], **settings):
    found = Rois.of(boxes.astype(np.float32), np.array(scores, dtype=np.float32))
    return people_of(logits_of(probabilities), *found, SQUARE, **settings)


def test_a_fit_that_changes_nothing_changes_nothing():
    scores = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(UNCHANGED(scores, np.full(9, 0.5)), scores, rtol=1e-6)
    assert UNCHANGED.least_detection(0.3) == pytest.approx(0.3)


def test_a_surer_detector_and_a_clearer_mask_are_surer_together(random):
    low, high = np.sort(random.uniform(0, 1, (2, 200)), axis=0)
    same = random.uniform(0, 1, 200)
    assert (FIT(low, same) <= FIT(high, same)).all()
    assert (FIT(same, low) <= FIT(same, high)).all()
    assert ((FIT(low, high) >= 0) & (FIT(low, high) <= 1)).all()


def test_whoever_is_hardly_there_scores_less_and_the_certain_as_without_a_judgement(random):
    scores, confidences = random.uniform(0, 1, (2, 200))
    fit = ScoreFit(detection=1.5, mask=3, shift=0.4, presence=0.7)
    np.testing.assert_array_equal(fit(scores, confidences), FIT(scores, confidences))
    certain = fit(scores, confidences, np.full(200, 20.0))
    np.testing.assert_allclose(certain, FIT(scores, confidences), rtol=1e-6)
    low, high = np.sort(random.normal(0, 5, (2, 200)), axis=0)
    assert (fit(scores, confidences, low) <= fit(scores, confidences, high)).all()
    assert (fit(scores, confidences, high) <= certain).all()
    half = fit(np.full(1, 0.5), np.ones(1), np.zeros(1))
    assert np.log(half / (1 - half)) == pytest.approx(0.4 + 0.7 * np.log(0.5), rel=1e-5)
    extremes = fit(np.full(2, 0.5), np.ones(2), np.array([-1e4, 1e4]))
    assert np.isfinite(extremes).all()


def test_the_heads_judgement_goes_into_the_responses_scores():
    boxes = np.array([[0, 0, 100, 200], [300, 0, 400, 200]])
    probabilities = np.stack([np.full((16, 12), 0.9)] * 2)
    fit = ScoreFit(detection=1.5, mask=3, shift=0.4, presence=0.7)
    judged = np.array([[-4.0], [2.0]], dtype=np.float32)
    people = response(probabilities, boxes, [0.9, 0.8], score_fit=fit, presence_logit=judged)
    assert people.boxes[:, 0].tolist() == [300, 0]
    expected = fit(np.array([0.8, 0.9]), np.full(2, 0.9), judged[::-1, 0])
    np.testing.assert_allclose(people.scores, expected, atol=0.01)


def test_certain_and_impossible_scores_stay_finite():
    extremes = np.array([0.0, 1.0])
    assert np.isfinite(FIT(extremes, extremes)).all()


def test_whoever_is_left_out_before_the_masks_could_not_have_been_in_the_response(random):
    for min_score in (0.001, 0.1, 0.5, 0.95):
        least = FIT.least_detection(min_score)
        below = random.uniform(0, least * 0.999, 500)
        assert (FIT(below, np.ones(500)) < min_score).all()
        assert FIT(np.array([least + 1e-4]), np.ones(1))[0] >= min_score


def test_people_are_selected_by_what_their_score_may_become():
    scores = np.linspace(0.05, 0.95, 19).astype(np.float32)
    found = select_people(predictions(grid_boxes(19), scores), SQUARE, min_score=0.5, score_fit=FIT)
    assert found.scores.min() >= FIT.least_detection(0.5) - 1e-6
    assert len(found.scores) == (scores >= FIT.least_detection(0.5)).sum()


def test_a_detectors_certainty_is_never_taken_for_a_box_that_was_brought():
    found = select_people(predictions(grid_boxes(1), [1.0]), SQUARE)
    assert 0.999 < found.scores[0] < GIVEN_SCORE


def test_confidence_is_the_mean_over_the_persons_own_cells():
    masks = np.zeros((3, 4, 4), dtype=np.uint8)
    masks[0, :2] = 255
    masks[1, 0, 0], masks[1, 1:] = 153, 102  # 0.6, and cells that are not the person's
    assert mask_confidences(masks) == pytest.approx([1, 0.6, 0])
    assert mask_confidences(masks[:0]).shape == (0,)


def test_a_repeated_mask_is_dropped_and_a_neighbour_is_not():
    masks = np.zeros((4, 20, 30), dtype=np.uint8)
    masks[0, 2:18, 2:12] = 1
    masks[1, 2:18, 2:11] = 1  # IoU 0.9 with the first
    masks[2, 2:18, 12:22] = 1
    rles = [encode_rle(mask) for mask in masks]  # the last one is empty
    assert distinct(rles, 0.8) == [0, 2, 3]
    assert distinct(rles, 0.95) == [0, 1, 2, 3]
    assert distinct([], 0.5) == []


def test_the_response_is_best_first_without_repetitions_and_unlikely_people(random):
    boxes = np.array([[0, 0, 100, 200], [0, 0, 100, 200], [300, 0, 400, 200], [500, 0, 600, 200]])
    probabilities = np.stack([np.full((16, 12), p) for p in (0.6, 0.95, 0.9, 0.99)])
    settings = {"score_fit": FIT, "max_mask_iou": 0.8, "min_score": 0.3}
    people = response(probabilities, boxes, [0.9, 0.8, 0.85, 0.02], **settings)
    assert people.boxes[:, 0].tolist() == [300, 0]  # the second's mask is the clearer of the two
    expected = FIT(np.array([0.85, 0.8]), np.array([0.9, 0.95]))
    np.testing.assert_allclose(people.scores, expected, atol=0.01)
    assert len(people.masks) == len(people.rles) == 2
    order = random.permutation(4)
    shuffled = response(
        probabilities[order],
        boxes[order],
        list(np.array([0.9, 0.8, 0.85, 0.02])[order]),
        **settings,
    )
    np.testing.assert_array_equal(shuffled.boxes, people.boxes)


def test_boxes_that_were_brought_are_all_answered_in_their_order():
    boxes = np.array([[0, 0, 100, 200], [0, 0, 100, 200], [300, 0, 400, 200]])
    probabilities = np.stack([np.full((16, 12), p) for p in (0.1, 0.95, 0.9)])
    brought = [GIVEN_SCORE] * 3
    people = response(probabilities, boxes, brought, score_fit=FIT, max_mask_iou=0.5, min_score=0.9)
    assert people.boxes.tolist() == boxes.tolist() and people.scores.tolist() == brought


def test_nobody_stays_nobody():
    nobody = Rois.of(np.zeros((0, 4)), np.zeros(0))
    assert nobody.scores.tolist() == [NO_PERSON_SCORE]
    logits = np.zeros((1, 3, 16, 12), dtype=np.float32)
    letterbox = Letterbox.fit(640, 480)
    people = people_of(logits, *nobody, letterbox, score_fit=FIT, max_mask_iou=0.5, min_score=0.1)
    assert [len(part) for part in people] == [0, 0, 0, 0]
