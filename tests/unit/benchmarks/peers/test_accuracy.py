"""Published detectors beside ours: measured on the image's own pixels, one row a file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.peers import accuracy
from benchmarks.peers.accuracy import measure, square
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.pixels.images import decode_image
from tests.data.detectors import write_nanodet
from tests.data.people_images import write_data_set
from training.teachers.teacher import Found, Teacher


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data_set(tmp_path_factory.mktemp("data"), count=4)


@pytest.fixture
def images(data: tuple[Path, Path]) -> list[AnnotatedImage]:
    return load_images(data[1], data[0])


class Knowing(Teacher):
    """Answers with the truth of each image in turn, moved to the right."""

    def __init__(self, images: list[AnnotatedImage], right_px: float = 0.0) -> None:
        self.left, self.right_px = list(images), right_px

    def people(self, images: Tensor) -> list[Found]:
        boxes = [person.box_xyxy for person in self.left.pop(0).people]
        moved = torch.tensor(boxes).reshape(-1, 4) + torch.tensor([self.right_px, 0.0] * 2)
        return [Found(moved, torch.full((len(boxes),), 0.9))]


def test_a_detector_that_knows_scores_one_and_one_that_is_off_does_not(
    images: list[AnnotatedImage],
) -> None:
    people = sum(len(image.people) for image in images)
    metrics = measure(Knowing(images), images)
    assert metrics == {
        "box_ap": pytest.approx(1.0),
        "box_ap50": pytest.approx(1.0),
        "images": 4,
        "people": people,
    }
    assert measure(Knowing(images, right_px=5.0), images)["box_ap"] < 1
    assert measure(Knowing(images, right_px=1000.0), images)["box_ap50"] == 0


def test_the_image_lies_unchanged_at_the_top_left_of_a_black_square(
    images: list[AnnotatedImage],
) -> None:
    annotated_image = images[0]
    canvas = square(annotated_image)
    side = max(annotated_image.width, annotated_image.height)
    assert canvas.shape == (3, side, side) and annotated_image.width != annotated_image.height
    image = decode_image(annotated_image.path.read_bytes())
    placed = (canvas * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(placed[: annotated_image.height, : annotated_image.width], image)
    assert placed.sum() == image.sum(dtype=np.int64)


def test_a_file_gets_a_row_and_the_others_keep_theirs(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rows = write_nanodet(tmp_path / "small.onnx"), tmp_path / "rows.json"
    rows.write_text(json.dumps({"other.onnx": {"box_ap": 0.5}, "small.onnx": {"box_ap": 2}}))
    options = ["--images", str(data[0]), "--annotations", str(data[1]), "--json", str(rows)]
    assert accuracy.main(["nanodet", str(file), *options]) == 0
    written = json.loads(rows.read_text())
    assert written["other.onnx"] == {"box_ap": 0.5}
    row = written["small.onnx"]
    assert 0 <= row["box_ap"] <= row["box_ap50"] <= 1
    assert (row["kind"], row["least_score"], row["images"]) == ("nanodet", 0.05, 4)
    assert f"box_ap50 {row['box_ap50']:.4f}" in capsys.readouterr().out


def test_a_file_of_another_kind_is_told_in_a_sentence_and_changes_nothing(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rows = tmp_path / "text.onnx", tmp_path / "rows.json"
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    options = ["--images", str(data[0]), "--annotations", str(data[1]), "--json", str(rows)]
    for kind, path in (("nanodet", file), ("movenet", write_nanodet(tmp_path / "nano.onnx"))):
        assert accuracy.main([kind, str(path), *options]) == 1
        err = capsys.readouterr().err
        assert err.startswith("peopleseg: ") and str(path) in err and err.count("\n") == 1
    assert not rows.exists()
