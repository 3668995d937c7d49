"""Published detectors as teachers, on small ONNX files of their layouts."""

import copy
from pathlib import Path

import onnx
import pytest
import torch

from tests.data.detectors import BINS, write_nanodet
from tests.data.small_movenet import write_movenet
from training.teachers.movenet import MoveNet
from training.teachers.nanodet import NanoDet, decoded
from training.teachers.teacher import Found, TeacherError, open_teacher
from training.teachers.unlabelled import filled_in

SIZE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2


@pytest.fixture(scope="module")
def nanodet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nanodet(tmp_path_factory.mktemp("teacher") / "nanodet.onnx", SIZE)


@pytest.mark.parametrize("batch_open", [False, True])
def test_a_batch_is_answered_as_its_images_are(tmp_path: Path, batch_open: bool) -> None:
    path = write_nanodet(tmp_path / "nanodet.onnx", SIZE, batch_open=batch_open)
    teacher = open_teacher(path, "nanodet")
    assert teacher.dense_size == SIZE
    images = torch.rand(3, 3, SIZE, SIZE)
    together = teacher.dense(images)
    assert together.scores.shape == (3, CELLS) and together.bins.shape == (3, CELLS, 4, BINS)
    assert together.scores.min() >= 0 and together.scores.max() <= 1
    torch.testing.assert_close(together.bins.sum(dim=3), torch.ones(3, CELLS, 4))
    for row, image in enumerate(images):
        alone = teacher.dense(image[None])
        torch.testing.assert_close(alone.scores[0], together.scores[row])
        torch.testing.assert_close(alone.bins[0], together.bins[row])


def test_people_are_found_on_a_canvas_of_any_size(nanodet: Path) -> None:
    teacher = open_teacher(nanodet, "nanodet")
    image = torch.tensor([0.2, 0.9, 0.4]).view(1, 3, 1, 1)  # one colour: resizing changes nothing
    (small,) = teacher.people(image.expand(1, 3, SIZE, SIZE))
    (large,) = teacher.people(image.expand(1, 3, 2 * SIZE, 2 * SIZE))
    assert len(small.scores) > 0 and small.scores.tolist() == sorted(
        small.scores.tolist(), reverse=True
    )
    # The best one alone: rounding may decide who else is suppressed.
    torch.testing.assert_close(large.boxes_xyxy[0], 2 * small.boxes_xyxy[0], atol=1e-2, rtol=1e-3)


def test_distances_are_read_from_the_cells_centres() -> None:
    bins = torch.zeros(1, CELLS, 4, BINS)
    bins[..., 1] = 1  # one cell to each side
    boxes = decoded(bins, SIZE)
    assert boxes[0, 0].tolist() == [-4, -4, 12, 12]  # centre 4, one cell of 8
    assert boxes[0, -1].tolist() == [16, 16, 80, 80]  # centre 48, one cell of 32


def test_tensors_of_the_neck_are_given_out(nanodet: Path) -> None:
    convolutions = [n.output[0] for n in onnx.load(nanodet).graph.node if n.op_type == "Conv"]
    necks = [name for name in convolutions if "neck" in name]
    levels = open_teacher(nanodet, "nanodet", necks).dense(torch.rand(2, 3, SIZE, SIZE)).levels
    assert [tuple(level.shape) for level in levels] == [(2, 8, 8, 8), (2, 8, 4, 4), (2, 8, 2, 2)]
    with pytest.raises(TeacherError, match="has no tensor neck99"):
        open_teacher(nanodet, "nanodet", ["neck99"])


def test_a_copy_of_the_task_shares_the_teacher(nanodet: Path) -> None:
    teacher = open_teacher(nanodet, "nanodet")
    assert isinstance(teacher, NanoDet)
    images = torch.rand(1, 3, SIZE, SIZE)
    assert torch.equal(copy.deepcopy(teacher).dense(images).scores, teacher.dense(images).scores)


def test_movenets_people_are_in_pixels_of_the_canvas(tmp_path: Path) -> None:
    teacher = open_teacher(write_movenet(tmp_path / "movenet.onnx"), "movenet")
    assert teacher.dense_size is None
    first, second = teacher.people(torch.rand(2, 3, 128, 128))
    assert first.boxes_xyxy.tolist() == second.boxes_xyxy.tolist() == [[0, 0, 32, 64]]
    assert first.scores.tolist() == pytest.approx([0.9])


def test_movenets_keypoints_have_x_before_y(tmp_path: Path) -> None:
    path = write_movenet(tmp_path / "movenet.onnx", keypoint=(0.25, 0.125, 0.7))
    teacher = open_teacher(path, "movenet")
    assert isinstance(teacher, MoveNet)
    (found,) = teacher.poses(torch.rand(1, 3, 128, 128))
    assert found.keypoints.shape == (1, 17, 3)
    assert found.keypoints[0, 16].tolist() == pytest.approx([16, 32, 0.7])


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("nanodet", b"version https://git-lfs", "run `git lfs pull`"),
        ("nanodet", b"<html>", "is HTML or XML"),
        ("movenet", b"", "is empty; fetch it again"),
        ("nanodet", b"no ONNX", "is not an ONNX file"),
        ("nanodet", b"\x08\x08", "ONNX Runtime cannot load"),
        ("nanodet", None, "there is no teacher"),
        ("nanodet", "movenet", "a NanoDet reads one"),
        ("movenet", "nanodet", "a MoveNet gives one"),
        ("movenet", "short", "a MoveNet gives one"),
    ],
)
def test_another_file_is_refused_in_a_sentence(
    kind: str, content: str | bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "nanodet":
        write_nanodet(path, SIZE)
    elif content is not None:
        write_movenet(path, 56 if content == "movenet" else 28)
    with pytest.raises(TeacherError, match=message):
        open_teacher(path, kind)  # type: ignore[arg-type]


def test_people_are_filled_in_where_the_labels_say_nothing() -> None:
    labels = torch.tensor([[10.0, 10, 30, 50]])
    region = torch.tensor([[0.0, 0, 64, 64]])
    found = Found(
        torch.tensor([[11.0, 10, 30, 50], [40, 10, 60, 50], [41, 5, 60, 9], [80, 10, 90, 50]]),
        torch.tensor([0.9, 0.8, 0.4, 0.9]),  # known, new, unsure, outside of the region
    )
    assert filled_in([labels], [region], [found])[0].tolist() == [
        [10, 10, 30, 50],
        [40, 10, 60, 50],
    ]
    assert torch.equal(filled_in([labels], [region[:0]], [found])[0], labels)
    nobody = Found(torch.zeros(0, 4), torch.zeros(0))
    assert filled_in([labels[:0]], [region], [nobody])[0].shape == (0, 4)
