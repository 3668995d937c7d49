import numpy as np
import pytest

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.systems.people.contract import MAX_PEOPLE, NO_PERSON_SCORE
from peopleseg.systems.people.selection import (
    MAX_IOU,
    MIN_SCORE,
    Rois,
    boxes_to_rois,
    is_person,
    select_people,
)

LETTERBOX = Letterbox.fit(800, 400)  # rows 160 to 480 of the square
SQUARE = Letterbox.fit(INPUT_SIZE, INPUT_SIZE)  # no border


def predictions(boxes_xyxy, scores) -> np.ndarray:
    """(5, anchors) as YOLOv9 gives them, with anchors of score 0 after the given ones."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
    found = np.zeros((5, 100 + len(boxes)), dtype=np.float32)
    found[2:4] = 10
    found[:2, : len(boxes)] = (boxes[:, :2] + boxes[:, 2:]).T / 2
    found[2:4, : len(boxes)] = (boxes[:, 2:] - boxes[:, :2]).T
    found[4, : len(boxes)] = scores
    return found


def grid_boxes(count: int) -> np.ndarray:
    """Boxes of 20 x 30 pixels that do not touch."""
    columns, rows = np.arange(count) % 20, np.arange(count) // 20
    return np.stack((columns * 30, rows * 40, columns * 30 + 20, rows * 40 + 30), axis=1)


def slow_iou(a, b) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def slow_nms(boxes, scores) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(slow_iou(boxes[i], boxes[j]) <= MAX_IOU for j in kept):
            kept.append(i)
    return kept


def test_nobody_becomes_one_dummy_roi_of_the_whole_square():
    rois = select_people(predictions([], []), SQUARE)
    assert rois.rois.tolist() == [[0, 0, 0, INPUT_SIZE, INPUT_SIZE]]
    assert rois.scores.tolist() == [NO_PERSON_SCORE]
    assert is_person(rois.scores).tolist() == [False]


def test_scores_below_the_limit_are_nobody():
    rois = select_people(predictions(grid_boxes(3), [MIN_SCORE - 0.01] * 3), SQUARE)
    assert rois.scores.tolist() == [NO_PERSON_SCORE]


def test_one_person_keeps_box_and_score():
    rois = select_people(predictions([[10, 20, 110, 220]], [0.75]), SQUARE)
    np.testing.assert_allclose(rois.rois, [[0, 10, 20, 110, 220]])
    np.testing.assert_allclose(rois.scores, [0.75])
    assert rois.rois.dtype == rois.scores.dtype == np.float32
    assert is_person(rois.scores).all()


@pytest.mark.parametrize("count", [MAX_PEOPLE - 1, MAX_PEOPLE, MAX_PEOPLE + 1, 200])
def test_of_too_many_people_the_best_by_score_are_kept(count, random):
    scores = random.permutation(np.linspace(0.2, 0.9, count)).astype(np.float32)
    rois = select_people(predictions(grid_boxes(count), scores), SQUARE)
    best = np.argsort(-scores)[:MAX_PEOPLE]
    np.testing.assert_allclose(rois.scores, scores[best])
    np.testing.assert_allclose(rois.rois[:, 1:], grid_boxes(count)[best], atol=1e-3)


def test_suppression_equals_the_slow_obvious_version(random):
    centres, sizes = random.uniform(100, 300, (80, 2)), random.uniform(60, 120, (80, 2))
    boxes = np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1).astype(np.float32)
    scores = random.uniform(0.2, 1, 80).astype(np.float32)
    kept = slow_nms(boxes, scores)
    assert 5 < len(kept) <= MAX_PEOPLE
    rois = select_people(predictions(boxes, scores), SQUARE)
    np.testing.assert_allclose(rois.rois[:, 1:], boxes[kept], atol=1e-3)
    np.testing.assert_allclose(rois.scores, scores[kept])


def test_boxes_are_cut_to_the_square_and_slivers_left_out():
    boxes = [[-50, -50, 100, 100], [600, 600, 700, 700], [-30, 10, 0.5, 100], [650, 0, 700, 50]]
    rois = select_people(predictions(boxes, [0.9, 0.8, 0.7, 0.6]), SQUARE)
    np.testing.assert_allclose(rois.rois[:, 1:], [[0, 0, 100, 100], [600, 600, 640, 640]])


def test_people_are_cut_to_the_image_and_the_border_holds_nobody():
    boxes = [[100, 100, 200, 300], [300, 20, 400, 150], [500, 400, 600, 700], [10, 481, 90, 600]]
    rois = select_people(predictions(boxes, [0.9, 0.8, 0.7, 0.6]), LETTERBOX)
    np.testing.assert_allclose(rois.rois[:, 1:], [[100, 160, 200, 300], [500, 400, 600, 480]])
    in_image = LETTERBOX.boxes_to_image(rois.rois[:, 1:])
    np.testing.assert_allclose(in_image, [[125, 0, 250, 175], [625, 300, 750, 400]], atol=1e-3)
    nobody = select_people(predictions(boxes[1:2], [0.8]), LETTERBOX)
    assert not is_person(nobody.scores).any()


def test_rois_of_no_boxes_are_the_dummy():
    rois = Rois.of(np.empty((0, 4)), np.empty(0))
    assert rois.rois.shape == (1, 5) and not is_person(rois.scores).any()


@pytest.mark.parametrize("count", [1, MAX_PEOPLE])
def test_a_callers_boxes_keep_their_order_even_when_equal(count):
    boxes = np.tile(np.array([[700, 100, 760, 300]], dtype=np.float32), (count, 1))
    boxes[:, 0] -= np.arange(count) // 2  # pairs of equal boxes: none may be suppressed
    rois = boxes_to_rois(boxes, LETTERBOX)
    np.testing.assert_allclose(rois.rois[:, 1:], LETTERBOX.boxes_to_network(boxes))
    assert (rois.rois[:, 0] == 0).all() and (rois.scores == 1).all()


def test_no_boxes_are_nobody():
    rois = boxes_to_rois(np.empty((0, 4), dtype=np.float32), LETTERBOX)
    assert rois.scores.tolist() == [NO_PERSON_SCORE]


def test_one_box_too_many_is_refused_with_the_limit():
    boxes = np.tile(np.array([[0, 0, 9, 9]], dtype=np.float32), (MAX_PEOPLE + 1, 1))
    with pytest.raises(InvalidInput, match="boxes has 65 rows, more than the limit of 64; split"):
        boxes_to_rois(boxes, LETTERBOX)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((np.nan, 0, 10, 10), "is not finite"),
        ((0, 0, np.inf, 10), "is not finite"),
        ((0, -np.inf, 10, 10), "is not finite"),
        ((-2e38, 0, 2e38, 10), "has a coordinate beyond 1e+06"),
        ((20, 0, 10, 10), "is reversed"),
        ((0, 20, 10, 10), "is reversed"),
        ((5, 5, 5, 10), "is empty"),
        ((5, 5, 10, 5), "is empty"),
        ((800, 0, 900, 10), "lies outside the image"),
        ((-20, 0, 0, 10), "lies outside the image"),
        ((0, 400, 10, 500), "lies outside the image"),
    ],
)
def test_an_impossible_box_is_refused_by_its_number(box, fault):
    boxes = np.array([(0, 0, 10, 10), box], dtype=np.float32)
    with pytest.raises(InvalidInput) as refused:
        boxes_to_rois(boxes, LETTERBOX)
    message = str(refused.value)
    assert message.startswith("boxes[1] = [") and fault in message
    assert "expected x1 < x2, y1 < y2 in pixels of the 800 x 400 image" in message


def test_a_box_over_the_images_edge_stays_as_it_was_sent():
    boxes = np.array([[-100, -100, 400, 200]], dtype=np.float32)
    rois = boxes_to_rois(boxes, LETTERBOX)
    np.testing.assert_allclose(rois.rois[:, 1:], LETTERBOX.boxes_to_network(boxes))
