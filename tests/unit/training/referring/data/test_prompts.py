"""Points and scribbles lie on the person, whatever the mask."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX
from peopleseg.labels.referring import SCRIBBLE_POINTS
from tests.data.people_images import people_image
from tests.data.skeletons import skeleton
from training.referring.prompts import (
    DEEP,
    TORSO,
    click_on,
    points_on,
    points_on_torso,
    scribble_on,
    scribble_on_torso,
)

Mask = NDArray[np.uint8]


def masks() -> dict[str, Mask]:
    pixel, line, ring, full = (np.zeros((40, 60), np.uint8) for _ in range(4))
    pixel[39, 0] = 1
    line[:, 30] = 1
    cv2.circle(ring, (30, 20), 15, (1,), 2)
    full[:] = 1
    two = pixel.copy()
    two[3:9, 40:50] = 1
    named = {"pixel": pixel, "line": line, "ring": ring, "full": full, "two parts": two}
    people = people_image(3, count=5).masks
    return named | {f"person {i}": mask for i, mask in enumerate(people)}


MASKS = masks()


def on(mask: Mask, points: NDArray[np.floating]) -> bool:
    columns, rows = np.floor(points).astype(int).T
    return bool(mask[rows, columns].all())


@pytest.mark.parametrize("name", MASKS)
def test_every_point_is_on_the_mask(name: str, random: np.random.Generator) -> None:
    mask = MASKS[name]
    for _ in range(20):
        assert on(mask, points_on(mask, 7, random))
        assert on(mask, click_on(mask, random))
        scribble = scribble_on(mask, random)
        assert scribble.shape == (SCRIBBLE_POINTS, 2) and scribble.dtype == np.float32
        assert on(mask, scribble)


@pytest.mark.parametrize("name", [name for name in MASKS if name != "full"])
def test_the_fallback_of_a_scribble_is_on_the_mask_too(
    name: str, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = MASKS[name]
    row, column = np.argwhere(mask == 0)[0]

    def astray(mask: Mask, count: int, random: np.random.Generator) -> NDArray[np.float32]:
        return np.tile(np.array((column + 0.5, row + 0.5), np.float32), (count, 1))

    monkeypatch.setattr("training.referring.prompts.points_on", astray)
    for _ in range(20):
        assert on(mask, scribble_on(mask, random))


def test_a_scribble_is_a_cubic_curve_of_uniform_steps(random: np.random.Generator) -> None:
    scribble = scribble_on(np.ones((90, 90), np.uint8), random)
    # The fourth differences of a cubic at uniform steps are none.
    assert np.abs(np.diff(scribble, n=4, axis=0)).max() < 1e-3
    assert np.ptp(scribble, axis=0).max() > 1


def test_a_scribble_crosses_a_large_mask_and_is_never_the_same(random: np.random.Generator) -> None:
    full = MASKS["full"]
    spans = [np.ptp(scribble_on(full, random), axis=0).max() for _ in range(50)]
    assert np.mean(spans) > 10 and len(set(map(float, spans))) > 40


def test_a_click_is_deep_inside(random: np.random.Generator) -> None:
    disc = np.zeros((101, 101), np.uint8)
    cv2.circle(disc, (50, 50), 40, (1,), cv2.FILLED)
    for _ in range(30):
        away = np.hypot(*(click_on(disc, random)[0] - 50.5))
        assert away <= 41 * (1 - DEEP) + 1


def test_what_touches_the_border_is_not_deep_there(random: np.random.Generator) -> None:
    full = MASKS["full"]
    for _ in range(30):
        x, y = click_on(full, random)[0]
        assert 10 < x < 50 and 10 < y < 30


@pytest.mark.parametrize("pose", ["standing", "sitting", "lying", "bending"])
def test_without_a_mask_points_are_between_the_corners_of_the_torso(
    pose: str, random: np.random.Generator
) -> None:
    keypoints = skeleton(pose, x=100, y=20, height=200)
    corners = keypoints[[INDEX[name] for name in TORSO], :2]
    hull = cv2.convexHull(corners)
    points, scribble = points_on_torso(keypoints, 50, random), scribble_on_torso(keypoints, random)
    assert points is not None and scribble is not None and scribble.shape == (SCRIBBLE_POINTS, 2)
    for x, y in (*points.tolist(), *scribble.tolist()):
        assert cv2.pointPolygonTest(hull, (x, y), False) >= 0


@pytest.mark.parametrize(("hidden", "told"), [(0, True), (1, True), (2, False), (4, False)])
def test_a_torso_is_known_by_three_visible_corners(
    hidden: int, told: bool, random: np.random.Generator
) -> None:
    keypoints = skeleton("standing")
    keypoints[[INDEX[name] for name in TORSO[:hidden]], 2] = 1  # known, but not seen
    assert (points_on_torso(keypoints, 1, random) is not None) == told
    assert (scribble_on_torso(keypoints, random) is not None) == told


def test_the_same_numbers_give_the_same_prompt() -> None:
    mask = MASKS["person 0"]
    one, same, other = (scribble_on(mask, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()
