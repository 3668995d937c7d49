"""People with keypoints, read from COCO files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import COUNT
from peopleseg.labels.poses import FEWEST_KEYPOINTS, Posed, load_poses, load_unposed
from tests.data.posed_images import annotation, entry, standing, write_coco


def seen(count: int) -> list[float]:
    """Keypoints of which the first so many are labelled."""
    points = standing(100)
    points[count:] = 0
    return [float(one) for one in points.ravel()]


def load(folder: Path, *annotations: dict[str, Any]) -> list[Posed]:
    path = write_coco(folder / "people.json", [entry(1), entry(2)], list(annotations))
    return load_poses(path, folder / "photos")


def person(image: int = 1, **changes: Any) -> dict[str, Any]:
    return annotation(image, standing(100), **changes)


def test_people_come_in_the_files_order_with_their_joints(tmp_path: Path) -> None:
    found = load(tmp_path, person(2), person(1, id=7), person(2, id=9, area=50.0))
    assert [one.image.id for one in found] == [1, 2, 2]
    assert found[0].image.path == tmp_path / "photos" / "1.png"
    assert [one.area_px for one in found] == [9000, 9000, 50]
    for one in found:
        np.testing.assert_array_equal(one.keypoints, standing(100))
        assert one.keypoints.shape == (COUNT, 3) and one.keypoints.dtype == np.float32


@pytest.mark.parametrize(
    "left_out",
    [
        {"iscrowd": 1},
        {"keypoints": seen(FEWEST_KEYPOINTS - 1)},
        {"keypoints": [0] * 3 * COUNT},
        {"keypoints": None},
        {"keypoints": [1, 2, 2]},
        {"keypoints": [float("nan")] * 3 * COUNT},
        {"keypoints": [7.0] * 3 * COUNT},  # 7 is no visibility
    ],
    ids=["crowd", "too few", "none seen", "none", "short", "nan", "visibility"],
)
def test_who_has_no_pose_is_left_out(tmp_path: Path, left_out: dict[str, Any]) -> None:
    (found,) = load(tmp_path, person(1, **left_out), person(2))
    assert found.image.id == 2


def test_the_fewest_keypoints_are_enough(tmp_path: Path) -> None:
    (found,) = load(tmp_path, person(keypoints=seen(FEWEST_KEYPOINTS)))
    assert (found.keypoints[:, 2] > 0).sum() == FEWEST_KEYPOINTS


@pytest.mark.parametrize("area", [None, 0, "large", float("nan"), -4])
def test_where_no_area_is_told_it_is_the_boxs(tmp_path: Path, area: Any) -> None:
    (found,) = load(tmp_path, person(area=area, bbox=[10, 20, 30, 40]))
    assert found.area_px == 1200


def test_a_file_without_keypoints_is_refused_in_a_sentence(tmp_path: Path) -> None:
    said = "people.json has nobody with 3 keypoints or more; take annotations of COCO's person_key"
    for annotations in ([], [person(keypoints=None)], [person(iscrowd=1)]):
        with pytest.raises(AnnotationError, match=said):
            load(tmp_path, *annotations)


def test_everybody_else_but_crowds_is_unposed(tmp_path: Path) -> None:
    few = seen(FEWEST_KEYPOINTS - 1)
    people = [person(), person(id=7, keypoints=few), person(2, id=8, keypoints=None)]
    crowd = person(2, id=9, keypoints=None, iscrowd=1)
    path = write_coco(tmp_path / "people.json", [entry(1), entry(2)], [*people, crowd])
    found = load_unposed(path, tmp_path / "photos")
    assert [one.image.id for one in found] == [1, 2]
    assert all(one.keypoints.shape == (COUNT, 3) for one in found)
