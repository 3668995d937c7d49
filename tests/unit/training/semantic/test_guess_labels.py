"""`peopleseg guess-labels`, with a small teacher that knows nothing and people who are known."""

from pathlib import Path

import pytest

from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.labels.label_maps import UNKNOWN, LabelledImage, load_labelled
from tests.data.detectors import write_nanodet
from tests.data.people_images import write_data_set
from tests.data.small_repository import BOX_CXCYWH, write_images, write_small_repository
from training.semantic.guessing import PERSON

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nanodet(
        tmp_path_factory.mktemp("teacher") / "coco.onnx", 64, classes=80, blind=True
    )


def guess(images: Path, teacher: Path, out: Path, *more: str) -> int:
    arguments = ["--images", str(images), "--teacher", str(teacher), "--out", str(out)]
    return main(["guess-labels", *arguments, "--threads", "1", *more])


def test_people_of_the_annotations_are_where_they_are(tmp_path: Path, teacher: Path) -> None:
    images, annotations = write_data_set(tmp_path, count=3)
    out = tmp_path / "guessed"
    assert guess(images, teacher, out, "--annotations", str(annotations)) == 0
    maps = {one.name: one.label_map(21) for one in load_labelled(out, images)}
    assert len(maps) == 3
    for image in load_images(annotations, images):
        people = maps[image.path.stem] == PERSON
        true = sum((one.mask(image.height, image.width) for one in image.masked_people), people * 0)
        assert (people == (true > 0)).all()


def test_people_are_else_those_whom_the_served_networks_find(tmp_path: Path, teacher: Path) -> None:
    images, _ = write_images(tmp_path / "images", count=1)
    repository = write_small_repository(tmp_path / "models")
    out = tmp_path / "guessed"
    assert guess(images, teacher, out, "--model-repository", str(repository)) == 0
    labels = LabelledImage(images / "0.png", out / "0.png").label_map(21)
    x, y = (int(value) for value in BOX_CXCYWH[:2])
    assert labels[y, x] == PERSON and (labels[:100, :100] != PERSON).all()
    assert not ((labels == UNKNOWN) & (labels == PERSON)).any()


def test_it_goes_on_where_it_was_and_leaves_labelled_images_alone(
    tmp_path: Path, teacher: Path, capsys: Captured
) -> None:
    images, annotations = write_data_set(tmp_path, count=4)
    names = sorted(path.stem for path in images.iterdir())
    drawn, out = tmp_path / "drawn", tmp_path / "guessed"
    for folder, name in ((drawn, names[0]), (out, names[1])):
        folder.mkdir()
        (folder / f"{name}.png").write_bytes(b"as it is")
    more = ("--annotations", str(annotations), "--leave-out", str(drawn))
    assert guess(images, teacher, out, *more) == 0
    assert "2 label maps written" in capsys.readouterr().out
    assert sorted(path.stem for path in out.iterdir()) == names[1:]
    assert (out / f"{names[1]}.png").read_bytes() == b"as it is"


def test_a_broken_image_is_named_and_the_others_go_on(
    tmp_path: Path, teacher: Path, capsys: Captured
) -> None:
    images, annotations = write_data_set(tmp_path, count=3)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert guess(images, teacher, tmp_path / "out", "--annotations", str(annotations)) == 1
    said = capsys.readouterr()
    assert "broken.png" in said.err and "3 label maps written" in said.out


def test_a_detector_of_other_classes_is_refused(tmp_path: Path, capsys: Captured) -> None:
    images, annotations = write_data_set(tmp_path, count=1)
    teacher = write_nanodet(tmp_path / "three.onnx", 64)
    assert guess(images, teacher, tmp_path / "out", "--annotations", str(annotations)) == 1
    assert "tells 3 classes apart, number 62 is asked" in capsys.readouterr().err
