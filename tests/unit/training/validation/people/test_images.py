"""Validation images: which ones are chosen, and that they show truth over what is found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.networks.checkpoint import Loaded
from tests.data.red_people import RedDetector, RedHead, RedUNet, red_images
from training.validation.people.images import choose_images, comparison, validation_sheet
from training.validation.sheets import CELL_PX, MARGIN_PX, TITLE_PX, Drawing

ROW_PX = TITLE_PX + CELL_PX
SQUARE = [[0.0, 0.0, 9.0, 0.0, 9.0, 9.0]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedImage]:
    return red_images(tmp_path_factory.mktemp("red"))


def with_people(image_id: int, count: int, side: float = 20.0, crowds: int = 0) -> AnnotatedImage:
    people = [Annotation((0.0, 0.0, side, side), SQUARE, False)] * count
    crowd = [Annotation((0.0, 0.0, 90.0, 90.0), SQUARE, True)] * crowds
    return AnnotatedImage(image_id, Path("unread.png"), 100, 100, [*people, *crowd])


def test_images_with_1_2_3_and_5_people_are_chosen() -> None:
    images = [with_people(count, count) for count in (0, 5, 4, 3, 2, 1, 9)]
    assert [len(p.people) for p in choose_images(images)] == [1, 2, 3, 5]


def test_of_several_the_first_without_crowds_and_very_small_people_is_chosen() -> None:
    images = [
        with_people(1, 2, side=80.0, crowds=1),
        with_people(2, 2, side=20.0),
        with_people(3, 2, side=50.0),
        with_people(4, 2, side=90.0),
    ]
    assert [p.id for p in choose_images(images, (2, 2, 2, 2))] == [3, 4, 2, 1]


def test_a_number_of_people_that_no_image_has_is_replaced_by_a_near_one() -> None:
    images = [with_people(count, count) for count in (1, 2, 4, 0)]
    assert [len(p.people) for p in choose_images(images)] == [1, 2, 4, 0]
    assert [p.id for p in choose_images(images[:1])] == [1]
    assert choose_images([]) == []


def halves(sheet: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Truth and prediction, without their titles."""
    return sheet[TITLE_PX:ROW_PX], sheet[ROW_PX + TITLE_PX :]


def sheet_of(family: str, network: nn.Module, images: list[AnnotatedImage]) -> NDArray[np.uint8]:
    before = [parameter.clone() for parameter in network.parameters()]
    sheet = validation_sheet(Loaded(family, {}, network, {}), images)
    assert all(map(torch.equal, before, network.parameters()))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * ROW_PX, len(images) * (CELL_PX + MARGIN_PX) + MARGIN_PX, 3)
    return sheet


@pytest.mark.parametrize(
    ("family", "knowing", "wrong", "most"),
    [
        ("people_unet", RedUNet(), RedUNet(sign=-1.0), 0.01),
        ("yolov9", RedDetector(), RedDetector(shift_px=60.0), 0.05),  # the labels say other scores
        ("hierarchical_head", RedHead(), RedHead(size=0.0), 0.03),
    ],
)
def test_a_network_that_knows_draws_what_is_true(
    images: list[AnnotatedImage], family: str, knowing: nn.Module, wrong: nn.Module, most: float
) -> None:
    truth, found = halves(sheet_of(family, knowing, images))
    assert (truth != found).any(axis=2).mean() < most
    truth_again, other = halves(sheet_of(family, wrong, images))
    np.testing.assert_array_equal(truth, truth_again)
    assert (truth != other).any(axis=2).mean() > (truth != found).any(axis=2).mean() + 0.005


def test_who_has_a_box_alone_is_drawn_as_a_box(images: list[AnnotatedImage]) -> None:
    two = images[0]
    first, second = two.annotations
    partly = replace(two, annotations=[replace(first, segmentation=None), second])
    for family, network, same in (
        ("yolov9", RedDetector(), True),
        ("hierarchical_head", RedHead(), False),
    ):
        drawn, all_boxes = (halves(sheet_of(family, network, [p]))[0] for p in (partly, two))
        assert np.array_equal(drawn, all_boxes) == same


def test_an_image_that_breaks_is_left_out_of_the_sheet(
    images: list[AnnotatedImage], tmp_path: Path
) -> None:
    broken = replace(images[0], path=tmp_path / "gone.png")
    loaded = Loaded("people_unet", {}, RedUNet(), {})
    np.testing.assert_array_equal(
        validation_sheet(loaded, [images[0], broken]), validation_sheet(loaded, [images[0]])
    )
    assert validation_sheet(loaded, [broken]).shape == (2 * ROW_PX, MARGIN_PX, 3)


def test_the_truth_lies_over_the_prediction_at_any_shape() -> None:
    red, blue = np.zeros((30, 700, 3), np.uint8), np.zeros((500, 20, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    column = comparison(Drawing(red, "true"), Drawing(blue, "found"))
    assert column.shape == (2 * ROW_PX, CELL_PX, 3)
    truth, found = halves(column)
    middle = CELL_PX // 2
    assert truth[middle, middle].tolist() == [200, 0, 0]
    assert found[middle, middle].tolist() == [0, 0, 200]
    assert (column[:TITLE_PX] < 128).any() and (column[ROW_PX : ROW_PX + TITLE_PX] < 128).any()
