"""Poses by a teacher: of whom, where, and how good they are said to be."""

from pathlib import Path

import numpy as np
import pytest

from peopleseg.labels.keypoints import COUNT, INDEX, VISIBLE
from peopleseg.labels.poses import Posed, load_poses, load_unposed
from tests.data.people_images import write_image
from tests.data.posed_images import annotation, entry, painted, standing, write_coco
from tests.data.small_movenet import write_movenet
from training.data.images import DataError
from training.data.loading import LoaderSettings
from training.referring.pose_data import PoseData, PoseSet
from training.referring.pose_teaching import PoseTeacher, Teaching
from training.teachers.teacher import TeacherError

MIDDLE = (0.5, 0.5, 0.9)
WHOLE = (0.1, 0.1, 0.9, 0.9)  # yxyx, of a box in the square around it
BOX_XYWH = [40.0, 30.0, 60.0, 60.0]
CENTRE = (69.5, 59.5)  # of the box, as COCO counts


@pytest.fixture
def people(tmp_path: Path) -> PoseSet:
    """Two whose keypoints nobody annotated, of whom the second's image is broken, and one more."""
    (tmp_path / "photos").mkdir()
    points = standing(100)
    for number in (1, 3):
        write_image(tmp_path / "photos" / f"{number}.png", painted(points))
    (tmp_path / "photos" / "2.png").write_bytes(b"no image")
    unknown = {"bbox": BOX_XYWH, "keypoints": None, "num_keypoints": 0}
    annotations = [
        annotation(1, points, id=1, **unknown),
        annotation(2, points, id=2, **unknown),
        annotation(3, points, id=3, bbox=BOX_XYWH),
    ]
    path = write_coco(tmp_path / "people.json", [entry(n) for n in (1, 2, 3)], annotations)
    return PoseSet(tmp_path / "photos", path)


def teacher(folder: Path, **seen: tuple[float, ...]) -> PoseTeacher:
    arguments = {"keypoint": MIDDLE, "box_yxyx": WHOLE, **seen}
    return PoseTeacher(write_movenet(folder / "movenet.onnx", **arguments))  # type: ignore[arg-type]


def taught(chosen: PoseTeacher, people: PoseSet) -> list[Posed]:
    return Teaching(chosen).posed(load_unposed(people.annotations, people.images))


def test_keypoints_are_in_pixels_of_the_image(people: PoseSet, tmp_path: Path) -> None:
    (found,) = taught(teacher(tmp_path), people)
    assert found.image.id == 1
    expected = np.tile([*CENTRE, VISIBLE], (COUNT, 1))
    np.testing.assert_allclose(found.keypoints, expected, atol=1e-3)
    assert found.keypoints.dtype == np.float32


@pytest.mark.parametrize(
    "seen",
    [
        {"keypoint": (0.5, 0.5, 0.39)},  # not sure
        {"box_yxyx": (0.0, 0.0, 0.4, 0.4)},  # somebody else
    ],
)
def test_of_what_it_is_not_sure_nobody_learns(
    seen: dict[str, tuple[float, ...]], people: PoseSet, tmp_path: Path
) -> None:
    assert taught(teacher(tmp_path, **seen), people) == []


def test_it_is_measured_by_those_whose_keypoints_are_known(people: PoseSet, tmp_path: Path) -> None:
    (known,) = load_poses(people.annotations, people.images)
    x1, y1, x2, y2 = known.person.box_xyxy
    known.keypoints[:] = ((x1 + x2) / 2 - 0.5, (y1 + y2) / 2 - 0.5, VISIBLE)
    known.keypoints[INDEX["left_ear"], 0] -= 6
    known.keypoints[INDEX["right_ear"], 0] += 6  # a head of 12 pixels
    known.keypoints[INDEX["nose"], 1] -= 6.5
    known.keypoints[INDEX["left_eye"], 1] -= 5.5
    known.keypoints[INDEX["right_eye"], 2] = 0
    measured = Teaching(teacher(tmp_path)).measured([known])
    right = (COUNT - 2) / (COUNT - 1)
    assert measured == {
        "teacher_pckh": pytest.approx(right),
        "teacher_pckh_sure": pytest.approx(right),
        "teacher_sure": 1,
    }
    unsure = teacher(tmp_path, keypoint=(0.5, 0.5, 0.1))
    assert Teaching(unsure).measured([known]) == {}
    known.keypoints[INDEX["left_ear"], 2] = 0
    assert Teaching(teacher(tmp_path)).measured([known]) == {}


def test_a_training_learns_from_them_too(
    people: PoseSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = LoaderSettings(batch_size=2, workers=0, validation_batch_size=2)
    data = PoseData(train=people, val=people, teacher=teacher(tmp_path), loader=alone)
    data.setup("fit")
    assert [one.posed.image.id for one in data.train_images] == [3, 1]
    assert data.teacher_measured["teacher_sure"] == 1
    assert "the teacher poses 1 of 1 people without keypoints" in capsys.readouterr().err
    more = PoseSet(people.images, people.annotations, weight=0.5)
    data = PoseData(
        train=people, val=people, teacher=teacher(tmp_path), taught=[more], loader=alone
    )
    data.setup("fit")
    assert [one.weight for one in data.train_images] == [1, 1, 0.5]


def test_another_file_and_people_without_a_teacher_are_refused(
    people: PoseSet, tmp_path: Path
) -> None:
    with pytest.raises(TeacherError, match="there is no teacher"):
        Teaching(PoseTeacher(tmp_path / "none.onnx"))
    with pytest.raises(DataError, match="name a --data.teacher too"):
        PoseData(train=people, val=people, taught=[people])
