"""Whom points mean, and which points are refused."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.choosing import FLOOR, NEARBY, by_points, checked_points
from peopleseg.systems.referring.contract import MAX_POINTS, MAX_PROMPTS, OFF, ON, PADDING

NAN, INF = float("nan"), float("inf")
LETTERBOX = Letterbox.fit(200, 100)
# Two people who overlap from x 60 to 100.
BOXES = np.array([[0, 0, 100, 100], [60, 0, 160, 100]], np.float32)
SCORES = np.array([0.9, 0.8], np.float32)
Points = list[tuple[float, float, float]]


def masks(*probabilities: float) -> NDArray[np.uint8]:
    """Over all of each box."""
    return np.stack([np.full((5, 4), round(255 * one), np.uint8) for one in probabilities])


def choose(
    *prompts: Points,
    boxes: NDArray[np.float32] = BOXES,
    scores: NDArray[np.float32] = SCORES,
    grids: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    grids = masks(*[1.0] * len(boxes)) if grids is None else grids
    return by_points(np.array(prompts, np.float32), boxes, scores, grids)


def test_a_point_in_one_mask_means_that_person() -> None:
    found = choose([(20, 50, ON)], [(140, 50, ON)])
    assert found.shape == (2, 2) and found.dtype == np.float32
    assert found[0, 0] == pytest.approx(0.9) and found[1, 1] == pytest.approx(0.8)
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert max(found[0, 1], found[1, 0]) <= NEARBY


def test_a_point_in_both_means_who_is_more_sure() -> None:
    assert choose([(80, 50, ON)])[0].tolist() == pytest.approx([0.9, 0.8])
    sure_of_the_second = choose([(80, 50, ON)], grids=masks(0.4, 1.0))
    assert sure_of_the_second[0].tolist() == pytest.approx([0.9 * 0.4, 0.8], rel=0.01)


def test_a_point_that_is_not_on_the_person_leaves_out_who_is_there() -> None:
    found = choose([(80, 50, ON), (20, 50, OFF)])[0]
    assert found.argmax() == 1
    assert found[0] == pytest.approx(0.9 * FLOOR**0.5, rel=0.01)  # a geometric mean
    assert 0.8 * (1 - NEARBY) ** 0.5 <= found[1] <= 0.8


def test_each_cell_of_a_mask_counts_where_it_lies(random: np.random.Generator) -> None:
    grid = random.integers(0, 256, (2, 10, 20), dtype=np.uint8)
    boxes = np.array([[0, 0, 200, 100], [0, 0, 200, 100]], np.float32)
    points = random.uniform(0, 100, (30, 1, 2)) * (2, 1)
    asked = np.concatenate((points, np.ones((30, 1, 1))), axis=2).astype(np.float32)
    found = by_points(asked, boxes, np.ones(2, np.float32), grid)
    for row, (x, y, _) in zip(found, asked[:, 0], strict=True):
        cells = grid[:, int(y // 10), int(x // 10)] / 255
        np.testing.assert_allclose(row, np.maximum(cells, NEARBY), rtol=1e-5)


def test_beside_every_mask_the_nearest_box_is_meant() -> None:
    found = choose([(170, 50, ON)], [(190, 50, ON)])
    assert found.argmax(axis=1).tolist() == [1, 1]
    assert found[0, 1] > found[1, 1] > found[1, 0] >= 0.9 * FLOOR
    assert found.max() < NEARBY


@pytest.mark.parametrize("corner", [(0, 0), (160, 100), (100, 0), (60, 100)])
def test_a_point_on_a_border_is_in_the_box(corner: tuple[float, float]) -> None:
    assert choose([(*corner, ON)]).max() >= 0.8


def test_padding_changes_nothing_whatever_stands_there() -> None:
    alone = choose([(20, 50, ON)])
    for place in ((80.0, 50.0), (NAN, NAN), (INF, -INF), (-1e30, 1e30)):
        padded = checked_points(
            np.array([[(20, 50, ON), (*place, PADDING)]], np.float32), LETTERBOX
        )
        np.testing.assert_array_equal(
            by_points(padded, BOXES, SCORES, masks(1, 1)), alone, err_msg=f"{place}"
        )


def test_prompts_together_are_as_each_alone(random: np.random.Generator) -> None:
    points = random.uniform(0, 100, (6, 3, 3)).astype(np.float32)
    points[..., 2] = random.integers(-1, 2, (6, 3))
    points[:, 0, 2] = ON
    grids = random.integers(0, 256, (2, 7, 5), dtype=np.uint8)
    together = by_points(points, BOXES, SCORES, grids)
    alone = [by_points(one[None], BOXES, SCORES, grids) for one in points]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    swapped = by_points(points, BOXES[::-1], SCORES[::-1], grids[::-1])
    np.testing.assert_array_equal(swapped, together[:, ::-1])


def test_among_nobody_nobody_is_chosen() -> None:
    nobody = choose([(20, 50, ON)], [(1, 1, ON)], boxes=BOXES[:0], scores=SCORES[:0],
                    grids=np.zeros((0, 5, 4), np.uint8))  # fmt: skip
    assert nobody.shape == (2, 0) and nobody.dtype == np.float32


def test_a_box_of_no_size_is_no_error() -> None:
    boxes = np.array([[50, 50, 50, 50]], np.float32)
    found = choose([(50, 50, ON)], [(90, 50, ON)], boxes=boxes, scores=SCORES[:1])
    assert np.isfinite(found).all() and found[0, 0] > found[1, 0]


def check(*prompts: Points) -> NDArray[np.float32]:
    return checked_points(np.array(prompts, np.float32), LETTERBOX)


def test_points_up_to_the_border_are_taken_as_they_are() -> None:
    prompts: list[Points] = [[(0, 0, ON), (200, 100, OFF)], [(200, 0, ON), (0, 0, PADDING)]]
    np.testing.assert_array_equal(check(*prompts), np.array(prompts, np.float32))
    assert len(check(*[[(1.0, 1.0, 1.0)] * MAX_POINTS] * MAX_PROMPTS)) == MAX_PROMPTS


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((0, 1, 3)), "points has 0 prompts, expected 1 to 64"),
        (np.ones((65, 1, 3)), "points has 65 prompts, expected 1 to 64"),
        (np.ones((1, 257, 3)), "points has 257 points a prompt, expected at most 256"),
        (np.ones((2, 0, 3)), "prompt 0 of points has no point with label 1 among its 0; give one"),
        ([[(1, 1, ON)], [(1, 1, OFF)]], "prompt 1 of points has no point with l"),
        ([[(1, 1, ON), (1, 1, 2)]], "prompt 0 of points has the label 2, expected 1 on the person"),
        ([[(1, 1, 0.5)]], "has the label 0.5, expected 1"),
        ([[(1, 1, NAN)]], "has the label nan, expected 1"),
        ([[(1, 1, ON), (201, 1, OFF)]], "the point 201, 1, which is not in the image of 200 x 100"),
        ([[(1, 101, ON)]], "prompt 0 of points has the point 1, 101, which"),
        ([[(-0.5, 1, ON)]], "the point -0.5, 1, which is not in the image"),
        ([[(NAN, 1, ON)]], "the point nan, 1, which is not in the image"),
        ([[(1, INF, ON)]], "the point 1, inf, which is not in the image"),
        (
            [[(1, 1, ON)] * 2, [(2, 2, ON), (3, NAN, OFF)]],
            "prompt 1 of points has the point 3, nan",
        ),
    ],
)
def test_points_that_say_nothing_are_refused(points: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        checked_points(np.array(points, np.float32), LETTERBOX)
