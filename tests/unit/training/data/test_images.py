"""Which images can be used, and how their pixels are read."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from peopleseg.errors import InvalidInput
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.pixels.images import decode_image
from tests.data.people_images import write_data_set, write_image
from training.data.images import (
    BrokenImage,
    Skipped,
    read_rgb,
    report_skipped,
    usable_images,
)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Images folder and annotations of 6 images."""
    return write_data_set(tmp_path, count=6)


def edit_annotations(annotations: Path, edit) -> None:
    data = json.loads(annotations.read_text())
    edit(data)
    annotations.write_text(json.dumps(data))


def test_a_whole_data_set_is_used(data):
    images, skipped = usable_images(data[1], data[0])
    assert len(images) == 6 and skipped == []


def test_missing_broken_and_wrongly_annotated_images_are_left_out_and_named(data):
    images, annotations = data
    (images / "001.png").unlink()
    (images / "002.png").write_bytes(b"no image")
    write_image(images / "003.png", np.zeros((240, 321, 3), dtype=np.uint8))

    annotated_images, skipped = usable_images(annotations, images)
    assert [p.path.name for p in annotated_images] == ["000.png", "004.png", "005.png"]
    reasons = {s.path.name: s.reason for s in skipped}
    assert reasons["001.png"] == "is missing"
    assert "is not an image" in reasons["002.png"]
    assert reasons["003.png"] == "is 321 x 240 pixels, its annotations are for 320 x 240"


@pytest.mark.parametrize("segmentation", [[], None])
def test_a_box_alone_is_no_reason_to_leave_an_image_out(data, segmentation):
    def replace(data):
        data["annotations"][0] |= {"segmentation": segmentation}
        data["annotations"][1] |= {"segmentation": segmentation, "iscrowd": 1}

    edit_annotations(data[1], replace)
    images, skipped = usable_images(data[1], data[0])
    assert len(images) == 6 and skipped == []
    assert sum(len(p.people) - len(p.masked_people) for p in images) == 1


def test_a_crowds_uncompressed_rle_and_polygons_are_segmentations(data):
    def replace(data):
        data["annotations"][0]["segmentation"] = {"counts": [240 * 320], "size": [240, 320]}
        data["annotations"][1]["segmentation"] = [[1, 2, 3, 4, 5, 6]]

    edit_annotations(data[1], replace)
    assert usable_images(data[1], data[0])[1] == []


def test_what_is_no_coco_file_is_named(data):
    data[1].write_text('{"images": 3}')
    with pytest.raises(ValueError, match=r"people\.json is not a COCO annotation file"):
        usable_images(data[1], data[0])


def test_the_report_counts_all_and_names_ten(capsys):
    report_skipped([])
    assert capsys.readouterr().err == ""
    report_skipped([Skipped(Path(f"{i}.jpg"), "is missing") for i in range(13)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "left out 13 images:"
    assert lines[1] == "  0.jpg: is missing"
    assert len(lines) == 12 and lines[-1] == "  and 3 more"


def turned_image(folder: Path, name: str, size_wh: tuple[int, int]) -> AnnotatedImage:
    """30 x 20 pixels stored, the left third red, that EXIF turns; annotated for a size."""
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[:, :10, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right: the left is shown at the top
    Image.fromarray(image).save(folder / name, quality=95, exif=exif)
    return AnnotatedImage(1, folder / name, *size_wh)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_an_image_is_read_the_way_that_its_annotations_were_drawn(tmp_path, name):
    stored = turned_image(tmp_path, name, (30, 20))
    shown = turned_image(tmp_path, name, (20, 30))
    for image, red in ((stored, np.s_[:, :9]), (shown, np.s_[:9])):
        for read in (read_rgb(image), decode_image(image.read())):
            assert read.shape == (image.height, image.width, 3) and read.dtype == np.uint8
            assert read[red][..., 0].min() > 200 and read[red][..., 2].max() < 60
            assert read[..., 0].mean() < 110
    assert shown.read() == shown.path.read_bytes()


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("said", [None, "applied", "ignored"])
def test_where_the_size_does_not_tell_the_file_says_how_images_were_drawn(
    tmp_path, orientation, said
):
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:, :8, 0] = 255  # stored: red on the left
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    annotations = tmp_path / "people.json"
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 20}],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    annotations.write_text(
        json.dumps({**data, "info": {"exif_orientation": said}} if said else data)
    )
    (image,) = load_images(annotations, tmp_path)
    shown = {1: pixels, 3: pixels[:, ::-1], 6: pixels.transpose(1, 0, 2)}[orientation]
    expected = pixels if said == "ignored" else shown
    np.testing.assert_array_equal(read_rgb(image), expected)
    np.testing.assert_array_equal(decode_image(image.read()), expected)


def test_another_word_for_how_images_were_drawn_is_named(tmp_path):
    annotations = tmp_path / "people.json"
    none = dict.fromkeys(("images", "annotations", "categories"), [{"id": 1, "name": "person"}])
    annotations.write_text(json.dumps({**none, "info": {"exif_orientation": 6}}))
    with pytest.raises(AnnotationError, match='exif_orientation 6 in its info; write "applied"'):
        load_images(annotations, tmp_path)


def test_the_turn_is_named_where_neither_way_has_the_annotated_size(tmp_path):
    image = turned_image(tmp_path, "a.jpg", (31, 20))
    with pytest.raises(BrokenImage, match=r"20 x 30 pixels, before EXIF turns it 30 x 20, its"):
        read_rgb(image)
    with pytest.raises(InvalidInput, match="annotations are for 31 x 20"):
        image.read()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_file_that_is_cut_off_is_noticed(tmp_path, random, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(path, random.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    image = AnnotatedImage(1, path, 50, 40)
    assert read_rgb(image).shape == (40, 50, 3)
    whole = path.read_bytes()
    for part in (0.0, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(BrokenImage, match=f"image{suffix}"):
            read_rgb(image)


def test_a_cut_off_jpeg_is_noticed_behind_the_thumbnail_of_its_header(tmp_path, random):
    pixels = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    thumbnail = b"\xff\xe1" + (len(jpeg) + 2).to_bytes(2, "big") + jpeg  # within an APP1 segment
    whole = jpeg[:2] + thumbnail + jpeg[2:]
    path = tmp_path / "image.jpg"
    path.write_bytes(whole)
    image = AnnotatedImage(1, path, 50, 40)
    assert read_rgb(image).shape == (40, 50, 3)
    path.write_bytes(whole[:-100])
    with pytest.raises(BrokenImage, match="is a damaged or truncated JPEG file"):
        read_rgb(image)


def test_what_cannot_be_read_or_decoded_is_named(tmp_path):
    with pytest.raises(BrokenImage, match=r"none\.jpg cannot be read \(No such file"):
        read_rgb(AnnotatedImage(1, tmp_path / "none.jpg", 9, 9))
    (tmp_path / "text.jpg").write_bytes(b"no image")
    with pytest.raises(BrokenImage, match=r"text\.jpg: .* is not an image"):
        read_rgb(AnnotatedImage(1, tmp_path / "text.jpg", 9, 9))


def test_a_broken_image_comes_out_of_a_worker_process_as_it_is():
    assert str(pickle.loads(pickle.dumps(BrokenImage("a.jpg is cut off")))) == "a.jpg is cut off"
