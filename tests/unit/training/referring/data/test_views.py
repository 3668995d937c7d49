"""Views keep pixels, masks, points and boxes together, and the person in the square."""

import cv2
import numpy as np
import pytest
import torch

from peopleseg.labels.keypoints import INDEX
from peopleseg.pixels.geometry import PAD_VALUE, Letterbox
from tests.data.people_images import people_image
from tests.data.skeletons import skeleton
from training.referring.views import View, cut_view, shifted_view, whole_view

SIZES = [(40, 90), (200, 60), (64, 64), (1, 7)]


def any_view(seed: int, size_hw: tuple[int, int], size: int, kept: tuple[float, ...]) -> View:
    torch.manual_seed(seed)
    box = (kept[0], kept[1], kept[2], kept[3])
    return (
        whole_view(size_hw, size),
        shifted_view(size_hw, size, 0.5),
        cut_view(size_hw, size, [box], 3.0),
    )[seed % 3]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("size", [16, 64, 100])
def test_the_whole_view_is_the_letterbox_of_the_server(
    size_hw: tuple[int, int], size: int, random: np.random.Generator
) -> None:
    image = random.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    box = Letterbox.fit(size_hw[1], size_hw[0], size)
    view = whole_view(size_hw, size)
    assert (view.image(image) == box.apply(image, size)).all()
    corners = (3.0, 1.0, 5.0, 2.0) if size_hw[0] > 1 else (3.0, 0.0, 5.0, 1.0)
    assert view.box(corners) == pytest.approx(
        box.boxes_to_network(np.array([corners]))[0], abs=1e-4
    )


@pytest.mark.parametrize("seed", range(30))
def test_pixels_masks_points_and_boxes_stay_together(seed: int) -> None:
    image_rgb = np.full((120, 160, 3), 200, np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    x, y = 30 + seed * 3 % 100, 40 + seed * 7 % 50
    cv2.rectangle(mask, (x, y), (x + 19, y + 9), (1,), cv2.FILLED)
    image_rgb[mask > 0] = (10, 20, 30)
    view = any_view(seed, (120, 160), 96, (x, y, x + 20, y + 10))
    seen, own = view.image(image_rgb), view.mask(mask)
    dark = (seen[..., 0] < 100) & (seen[..., 0] != PAD_VALUE)
    assert np.abs(dark ^ (own > 0)).sum() <= 4 + 0.2 * own.sum()  # the edge alone
    rows, columns = np.nonzero(own)
    middle = columns.mean() + 0.5, rows.mean() + 0.5
    assert view.points(np.array([[x + 10.0, y + 5.0]]))[0] == pytest.approx(middle, abs=1.0)
    box = view.box((x, y, x + 20, y + 10))
    found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert box == pytest.approx(found, abs=1.0)
    assert (0 <= box).all() and (box <= 96).all()


@pytest.mark.parametrize("seed", range(40))
def test_a_view_that_cuts_holds_the_whole_person(seed: int) -> None:
    random = np.random.default_rng(seed)
    size_hw = int(random.integers(5, 400)), int(random.integers(5, 400))
    low = random.uniform(0, 0.9, 2) * size_hw[::-1]
    high = low + random.uniform(0.05, 1, 2) * (np.array(size_hw[::-1]) - low)
    torch.manual_seed(seed)
    view = cut_view(size_hw, 64, [(*low, *high)], 4.0)
    whole = view.points(np.array([low, high]))
    assert view.box((*low, *high)) == pytest.approx(
        np.concatenate((whole.min(axis=0), whole.max(axis=0))), abs=1e-3
    )
    assert whole.min() >= -1e-3 and whole.max() <= 64 + 1
    assert view.zoom >= 64 / max(size_hw) - 1e-6


def test_a_view_that_cuts_is_larger_and_differs_by_the_seed() -> None:
    views = []
    for seed in range(20):
        torch.manual_seed(seed)
        views.append(cut_view((200, 300), 64, [(100, 100, 120, 120)], 3.0))
    assert len(set(map(repr, views))) == 20 and {view.flipped for view in views} == {True, False}
    assert max(view.zoom for view in views) > 2 * 64 / 300


def test_a_shifted_view_shows_the_whole_image() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        view = shifted_view((100, 200), 64, 0.5)
        corners = view.points(np.array([[0.0, 0.0], [200.0, 100.0]]))
        assert corners.min() >= -0.5 and corners.max() <= 64 + 0.5
        assert 0.5 * 64 / 200 - 1e-6 <= view.zoom <= 64 / 200 + 1e-6


def test_a_view_is_mirrored_as_often_as_is_said() -> None:
    def mirrored(flip: float) -> list[bool]:
        torch.manual_seed(0)
        views = [shifted_view((100, 200), 64, 0.5, flip) for _ in range(10)]
        views += [cut_view((100, 200), 64, [(10, 10, 30, 30)], 3.0, flip) for _ in range(10)]
        return [view.flipped for view in views]

    assert not any(mirrored(0)) and all(mirrored(1))
    assert {True, False} == set(mirrored(0.5))


def test_flipping_swaps_the_keypoints_of_a_pair() -> None:
    keypoints = skeleton("one arm raised", x=50, y=10, height=80)
    for seed in range(10):
        torch.manual_seed(seed)
        view = shifted_view((100, 100), 100, 1.0)
        seen = view.keypoints(keypoints)
        if not view.flipped:
            assert (seen == keypoints).all()
            continue
        assert seen[INDEX["right_wrist"]] == pytest.approx(
            (100 - keypoints[INDEX["left_wrist"], 0], *keypoints[INDEX["left_wrist"], 1:])
        )
        assert seen[INDEX["nose"], 0] == pytest.approx(100 - keypoints[INDEX["nose"], 0])
        break
    else:
        pytest.fail("no view of ten is flipped")


def test_a_mask_in_the_square_is_that_of_each_pixels_centre() -> None:
    mask = people_image(1, count=3).masks.max(axis=0)
    for seed in range(9):
        view = any_view(seed, mask.shape, 50, (10, 10, 60, 90))  # type: ignore[arg-type]
        seen = view.mask(mask)
        for row, column in np.ndindex(50, 50):
            across = 50 - column - 0.5 if view.flipped else column + 0.5
            x = view.columns.start + (across - view.left) / view.zoom
            y = view.rows.start + (row + 0.5 - view.top) / view.zoom
            inside = view.columns.start <= x < view.columns.stop
            inside &= view.rows.start <= y < view.rows.stop
            assert seen[row, column] == (mask[int(y), int(x)] if inside else 0)
