"""Views of labelled images: image and labels stay together, and nothing is made up."""

import numpy as np
import pytest
import torch

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.pixels.geometry import PAD_VALUE
from peopleseg.systems.semantic.palette import palette
from tests.data.voc_images import image_and_labels
from training.semantic.views import MEAN_RGB, Labelled, enhanced_view, view_of, whole_view


def together(seen: Labelled) -> float:
    """Part of the known pixels whose colour is nearest to that of their class."""
    known = seen.labels != UNKNOWN
    pixels, own = seen.image_rgb[known].astype(int), seen.labels[known]
    numbers = np.array([0, 9, 15])
    gaps = np.abs(pixels[:, None] - palette()[numbers].astype(int)).sum(axis=2)
    return float((numbers[gaps.argmin(axis=1)] == own).mean())


@pytest.fixture
def seen() -> Labelled:
    return Labelled(*image_and_labels(3))


@pytest.mark.parametrize("size", [32, 64, 200])
def test_the_whole_view_is_what_the_server_makes(seen: Labelled, size: int) -> None:
    whole = whole_view(seen, size)
    assert whole.image_rgb.shape == (size, size, 3) and whole.labels.shape == (size, size)
    border = round(size / 8)  # of 48 rows in 64
    assert (whole.labels[: border - 1] == UNKNOWN).all() and (whole.image_rgb[0] == PAD_VALUE).all()
    assert set(np.unique(whole.labels)) == {0, 9, 15, UNKNOWN}
    assert together(whole) > 0.97


def test_a_stretched_view_fills_the_square(seen: Labelled) -> None:
    whole = whole_view(seen, 64, "stretch")
    assert (whole.labels[0] != UNKNOWN).all() and together(whole) > 0.97


def test_an_image_of_the_squares_size_stays_as_it_is() -> None:
    image, labels = image_and_labels(1)
    square = Labelled(image[:, :48], labels[:, :48])
    whole = whole_view(square, 48)
    assert (whole.image_rgb == square.image_rgb).all() and (whole.labels == square.labels).all()


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("seed", range(8))
def test_an_enhanced_view_keeps_image_and_labels_together(
    seen: Labelled, size: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.semantic.views._coloured", lambda seen: seen)
    torch.manual_seed(seed)
    view = enhanced_view(seen, size)
    assert view.image_rgb.shape == (size, size, 3) and view.labels.shape == (size, size)
    assert together(view) > 0.95
    outside = (view.image_rgb == MEAN_RGB).all(axis=2)
    assert (view.labels[outside] == UNKNOWN).all()


def test_a_scale_below_1_shows_all_of_the_image_with_a_border(seen: Labelled) -> None:
    torch.manual_seed(0)
    view = enhanced_view(seen, 64, scales=(0.5, 0.5))
    inside = view.labels != UNKNOWN
    rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert (rows, columns) == (24, 32)
    assert {0, 9, 15} <= set(np.unique(view.labels))


@pytest.mark.parametrize("scales", [(0.5, 0.5), (2.0, 2.0)])
@pytest.mark.parametrize("side", [1, 3, 500])
def test_images_of_any_size_have_a_view(side: int, scales: tuple[float, float]) -> None:
    one = Labelled(np.zeros((side, 2, 3), np.uint8), np.zeros((side, 2), np.uint8))
    assert enhanced_view(one, 32, scales).labels.shape == (32, 32)
    assert whole_view(one, 32).labels.shape == (32, 32)


def test_the_same_seed_gives_the_same_view_and_another_an_other_one(seen: Labelled) -> None:
    views = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        views.append(enhanced_view(seen, 32).image_rgb)
    assert (views[0] == views[1]).all() and (views[0] != views[2]).any()


def test_the_basic_view_shows_the_whole_image_also_flipped(seen: Labelled) -> None:
    found = set()
    for seed in range(12):
        torch.manual_seed(seed)
        found.add(view_of("basic", 64)(seen).labels.tobytes())
    whole = whole_view(seen, 64).labels
    assert found == {whole.tobytes(), np.ascontiguousarray(whole[:, ::-1]).tobytes()}


def test_an_unknown_strength_is_refused() -> None:
    with pytest.raises(ValueError, match="'heavy'.*enhanced"):
        view_of("heavy", 32)  # type: ignore[arg-type]
