"""Label maps, of every kind that is one, and of those that are none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from peopleseg.errors import InvalidInput
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import UNKNOWN, label_size_wh, load_labelled
from peopleseg.pixels.images import decode_image
from peopleseg.systems.semantic.palette import palette_png

LABELS = np.array([[0, 0, 5], [20, UNKNOWN, 5]], np.uint8)


def write_pair(folder: Path, name: str = "photo", labels: NDArray[np.uint8] = LABELS) -> Path:
    """An image and its label map, in folder/images and folder/labels; the label map."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (labels.shape[1], labels.shape[0])).save(folder / "images" / f"{name}.jpg")
    path = folder / "labels" / f"{name}.png"
    path.write_bytes(palette_png(labels))
    return path


def load(folder: Path, limit: int | None = None) -> list[str]:
    return [image.name for image in load_labelled(folder / "labels", folder / "images", limit)]


def label_map(folder: Path, classes: int = 21) -> NDArray[np.uint8]:
    (image,) = load_labelled(folder / "labels", folder / "images")
    return image.label_map(classes)


def as_palette(labels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette(list(range(256)) * 3)  # colours of its own: the number is what counts
    return image


@pytest.mark.parametrize("made", [Image.fromarray, as_palette], ids=["grey", "palette"])
def test_the_number_counts_whatever_the_colours(
    tmp_path: Path, made: Callable[[NDArray[np.uint8]], Image.Image]
) -> None:
    path = write_pair(tmp_path)
    made(LABELS).save(path)
    found = label_map(tmp_path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, LABELS)
    assert label_size_wh(path) == (3, 2)


def test_one_bit_a_pixel_is_two_classes(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    Image.fromarray(LABELS > 0).save(path)
    np.testing.assert_array_equal(label_map(tmp_path), (LABELS > 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("RGB", (3, 2)), "pixels of the kind RGB; expected one number of 8 bits"),
        (Image.new("RGBA", (3, 2)), "pixels of the kind RGBA"),
        (Image.fromarray(LABELS.astype(np.uint16)), "pixels of the kind I;16"),
    ],
    ids=["RGB", "RGBA", "16 bit"],
)
def test_what_has_no_number_of_8_bits_is_refused(
    tmp_path: Path, image: Image.Image, said: str
) -> None:
    path = write_pair(tmp_path)
    image.save(path)
    with pytest.raises(AnnotationError, match=said) as error:
        label_map(tmp_path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda png: png[: len(png) // 2], "damaged or truncated|is no label map"),
        (lambda png: b"", "is empty"),
        (lambda png: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (lambda png: b"\xff\xd8\xff\xe0 a JPEG", "is no label map in PNG"),
    ],
    ids=["truncated", "empty", "LFS", "JPEG"],
)
def test_a_broken_file_is_named(
    tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    path = write_pair(tmp_path, labels=np.random.default_rng(0).integers(0, 9, (90, 90), np.uint8))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(AnnotationError, match=said) as error:
        label_map(tmp_path)
    assert str(path) in str(error.value)


def test_a_class_too_high_is_refused_and_unknown_is_none(tmp_path: Path) -> None:
    write_pair(tmp_path)
    with pytest.raises(AnnotationError, match="has the class 20; expected 0 to 19, and 255"):
        label_map(tmp_path, classes=20)
    assert label_map(tmp_path, classes=21).max() == UNKNOWN
    write_pair(tmp_path, labels=np.full((2, 3), UNKNOWN, np.uint8))
    assert (label_map(tmp_path, classes=2) == UNKNOWN).all()


def test_an_image_of_another_size_is_refused_with_both(tmp_path: Path) -> None:
    write_pair(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "photo.jpg")
    (image,) = load_labelled(tmp_path / "labels", tmp_path / "images")
    with pytest.raises(InvalidInput, match=r"photo.jpg: image is 4 x 4 .* are for 3 x 2"):
        image.read()


@pytest.mark.parametrize("size_hw", [(2, 3), (3, 2)], ids=["as stored", "as EXIF turns it"])
def test_an_image_is_read_as_its_labels_were_drawn(
    tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    write_pair(tmp_path, labels=np.zeros(size_hw, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise to see it upright
    Image.new("RGB", (3, 2)).save(tmp_path / "images" / "photo.jpg", exif=exif)
    (image,) = load_labelled(tmp_path / "labels", tmp_path / "images")
    assert decode_image(image.read()).shape[:2] == size_hw == image.label_map(2).shape


def test_images_come_in_the_order_of_their_names_and_those_without_labels_are_left_out(
    tmp_path: Path,
) -> None:
    for name in ("b", "c", "a"):
        write_pair(tmp_path, name)
    (tmp_path / "labels" / "b.png").unlink()
    (tmp_path / "labels" / "notes.txt").touch()
    assert load(tmp_path) == ["a", "c"]
    assert load(tmp_path, limit=1) == ["a"]
    (image, _) = load_labelled(tmp_path / "labels", tmp_path / "images")
    assert image.files == (tmp_path / "images" / "a.jpg", tmp_path / "labels" / "a.png")


def test_labels_without_images_are_named_a_few_at_a_time(tmp_path: Path) -> None:
    for number in range(8):
        write_pair(tmp_path, str(number))
        if number:
            (tmp_path / "images" / f"{number}.jpg").unlink()
    with pytest.raises(AnnotationError, match="has labels of 1, 2, 3, 4, 5 and 2 more, of which"):
        load(tmp_path)


def test_folders_without_anything_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path).unlink()
    with pytest.raises(AnnotationError, match="has no label maps"):
        load(tmp_path)
    with pytest.raises(AnnotationError, match="is no folder of label maps and no list"):
        load_labelled(tmp_path / "nowhere", tmp_path / "images")
    write_pair(tmp_path)
    with pytest.raises(AnnotationError, match="is no folder of images"):
        load_labelled(tmp_path / "labels", tmp_path / "nowhere")


def voc(folder: Path, names: str) -> Path:
    """A data set in Pascal VOC's layout; its list."""
    write_pair(folder / "made", "2007_000001")
    write_pair(folder / "made", "2007_000002")
    for part, called in (("images", "JPEGImages"), ("labels", "SegmentationClass")):
        (folder / "made" / part).rename(folder / called)
    path = folder / "ImageSets" / "Segmentation" / "val.txt"
    path.parent.mkdir(parents=True)
    path.write_text(names)
    return path


def test_a_list_of_voc_has_its_label_maps_beside(tmp_path: Path) -> None:
    chosen = voc(tmp_path, "2007_000002\n")
    (image,) = load_labelled(chosen, tmp_path / "JPEGImages")
    assert image.name == "2007_000002"
    np.testing.assert_array_equal(image.label_map(21), LABELS)


def test_a_list_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    chosen = voc(tmp_path, "2007_000001\n2007_000009\n")
    with pytest.raises(AnnotationError, match="names 2007_000009.png, not in"):
        load_labelled(chosen, tmp_path / "JPEGImages")
    with pytest.raises(AnnotationError, match="cannot be read"):
        load_labelled(chosen.with_name("test.txt"), tmp_path / "JPEGImages")


def test_a_list_of_nothing_and_a_list_elsewhere_are_refused(tmp_path: Path) -> None:
    chosen = voc(tmp_path, "")
    with pytest.raises(AnnotationError, match="has no label maps"):
        load_labelled(chosen, tmp_path / "JPEGImages")
    elsewhere = tmp_path / "val.txt"
    elsewhere.write_text("2007_000001\n")
    with pytest.raises(AnnotationError, match="a list lies in VOC2012/ImageSets/Segmentation"):
        load_labelled(elsewhere, tmp_path / "JPEGImages")
