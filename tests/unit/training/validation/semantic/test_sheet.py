"""Pictures of what networks find on label maps, and the table of classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.evaluation.confusion_picture import confusion_picture
from peopleseg.systems.semantic.evaluation.metrics import ENOUGH_IMAGES, Confusion
from peopleseg.systems.semantic.palette import palette, palette_png
from tests.data.red_labels import PERSON, RedClasses, red_labels
from training.validation.semantic.classes import WEAKEST, class_tables
from training.validation.semantic.sheet import WIDTH_PX, choose_images, coloured, sheet_of
from training.validation.sheets import CELL_PX, MARGIN_PX, TITLE_PX


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return red_labels(tmp_path_factory.mktemp("red"))


def cells_of(network: nn.Module, image: LabelledImage) -> list[np.ndarray]:
    """Image, true and found of a sheet of one image, without titles."""
    sheet = sheet_of(network, VOC_CLASSES, [image], 256)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == WIDTH_PX
    lefts = (MARGIN_PX + place * (CELL_PX + MARGIN_PX) for place in range(3))
    return [sheet[TITLE_PX : TITLE_PX + CELL_PX, left : left + CELL_PX] for left in lefts]


def test_a_network_that_knows_draws_what_is_true(images: list[LabelledImage]) -> None:
    _, true, found = cells_of(RedClasses(), images[2])
    unknown = (true == palette()[255]).all(axis=2)
    assert (true != found).any(axis=2)[~unknown].mean() < 0.02
    middle = CELL_PX // 2
    assert true[middle, middle].tolist() == palette()[PERSON].tolist()
    _, true_again, other = cells_of(RedClasses(-1.0), images[2])
    np.testing.assert_array_equal(true, true_again)
    assert (true != other).any(axis=2)[~unknown].mean() > 0.9


def test_colours_are_not_mixed(images: list[LabelledImage]) -> None:
    for image in images:
        shown = {tuple(colour) for colour in coloured(image.label_map(21)).reshape(-1, 3).tolist()}
        assert shown == {tuple(palette()[number].tolist()) for number in (0, PERSON, 255)}


def test_a_sheet_has_a_row_for_each_image_that_decodes_and_a_legend(
    images: list[LabelledImage], tmp_path: Path
) -> None:
    rows = len(images) * (TITLE_PX + CELL_PX)
    broken = LabelledImage(tmp_path / "gone.png", images[0].labels)
    sheet = sheet_of(RedClasses(), VOC_CLASSES, [*images, broken], 64)
    assert sheet.shape == (rows + TITLE_PX + MARGIN_PX, WIDTH_PX, 3)
    legend = {tuple(colour) for colour in sheet[rows:].reshape(-1, 3).tolist()}
    assert {tuple(palette()[number].tolist()) for number in (0, PERSON, 255)} < legend


def test_images_are_chosen_that_show_many_classes(tmp_path: Path) -> None:
    classes = [(0,), (0, 3), (0, 3), (0, 5, 6, 7), (3, 9)]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number, there in enumerate(classes):
        labels = np.resize(np.array([*there, 255], np.uint8), (4, 6))
        (tmp_path / "labels" / f"{number}.png").write_bytes(palette_png(labels))
        Image.new("RGB", (6, 4)).save(tmp_path / "images" / f"{number}.png")
    images = load_labelled(tmp_path / "labels", tmp_path / "images")
    chosen = [image.name for image in choose_images(images, 21)]
    assert chosen[:2] == ["3", "4"] and len(chosen) == len(set(chosen)) == 4
    (tmp_path / "labels" / "3.png").write_bytes(b"no PNG")
    assert images[3] not in choose_images(images, 21)
    assert choose_images([], 21) == []
    assert sheet_of(RedClasses(), VOC_CLASSES, []).shape == (MARGIN_PX, WIDTH_PX, 3)


def confusion_with(seen: int, right: int) -> Confusion:
    """Images of background and class 1, of which so many have a `b`, found on `right` pixels."""
    confusion = Confusion(("background", "a", "b"))
    for number in range(ENOUGH_IMAGES):
        true = np.array([[0, 1, 1, 1, 2 if number < seen else 255]], np.uint8)
        found = true.copy()
        found[0, 1 + right : 4] = 0
        found[true == 255] = 0
        confusion.add(true, found)
    return confusion


def test_the_weakest_class_of_each_checkpoint_is_marked() -> None:
    one, two = confusion_with(ENOUGH_IMAGES, right=0), confusion_with(ENOUGH_IMAGES, right=2)
    lines = class_tables(["one.ckpt", "two.ckpt"], [one, two]).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["a"] == [str(ENOUGH_IMAGES), f"0.0000{WEAKEST}", "0.6667"]
    assert rows["background"] == [str(ENOUGH_IMAGES), "0.2500", f"0.5000{WEAKEST}"]
    assert rows["b"] == [str(ENOUGH_IMAGES), "1.0000", "1.0000"]
    assert rows["1:"] == ["one.ckpt"] and rows["2:"] == ["two.ckpt"]


def test_a_class_in_too_few_images_is_named_without_a_figure() -> None:
    table = class_tables(["one.ckpt"], [confusion_with(ENOUGH_IMAGES - 1, right=3)])
    assert not any(line.startswith("b ") for line in table.splitlines())
    assert f"too few to tell: b ({ENOUGH_IMAGES - 1})" in table
    few = Confusion(("background", "a"))
    few.add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert class_tables(["x"], [few]) == (
        f"in fewer than {ENOUGH_IMAGES} images, too few to tell: background (1)"
    )


def test_the_picture_of_confusion_is_darkest_where_most_pixels_are() -> None:
    names = ("background", "a", "b")
    right, wrong = np.diag([9, 9, 0]), np.array([[0, 9, 0], [9, 0, 0], [0, 0, 0]])
    pictures = [confusion_picture(pixels, names) for pixels in (right, wrong)]
    assert pictures[0].shape == pictures[1].shape and pictures[0].dtype == np.uint8
    assert (pictures[0] != pictures[1]).any(axis=2).mean() > 0.02
    blank = confusion_picture(np.zeros((3, 3), np.int64), names)
    assert blank.shape[0] > pictures[0].shape[0]  # which leave out the class that is nowhere
