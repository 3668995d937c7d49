"""RefHuman's files: read as they are meant, and in a sentence what is wrong of one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import INDEX
from peopleseg.labels.referring import load_references
from peopleseg.pixels.masks import encode_rle
from tests.data.reference_files import SCRIBBLE

WIDTH, HEIGHT = 40, 30
KEYPOINTS = [float(n) for index in range(17) for n in (index, 2 * index, 2)]
SQUARE = [[10, 5, 20, 5, 20, 25, 10, 25]]
Change = Callable[[dict[str, Any]], object]


def file_of(folder: Path, change: Change | None = None) -> Path:
    """Two prompts of one person in one image, as RefHuman has them."""
    images = [
        {"id": 3 + i, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, "caption": text}
        for i, text in enumerate(("man in red", "the left one"))
    ]
    person = {"category_id": 1, "bbox": [10, 5, 10, 20], "area": 190.5, "iscrowd": 0}
    person |= {"keypoints": KEYPOINTS, "num_keypoints": 17, "segmentation": SQUARE}
    annotations = [
        {**person, "id": 9, "image_id": one["id"], "scribble": SCRIBBLE} for one in images
    ]
    categories = [{"id": 1, "name": "person"}]
    data = {"images": images, "annotations": annotations, "categories": categories}
    if change is not None:
        change(data)
    path = folder / "RefHuman_val.json"
    path.write_text(json.dumps(data))
    return path


def of_image(**changes: Any) -> Change:
    return lambda data: data["images"][0].update(changes)


def of_person(**changes: Any) -> Change:
    return lambda data: data["annotations"][0].update(changes)


def test_every_entry_is_a_reference_to_one_person(tmp_path: Path) -> None:
    first, second = load_references(file_of(tmp_path), tmp_path / "photos")
    assert (first.id, first.caption) == (3, "man in red") and second.caption == "the left one"
    assert first.files == (tmp_path / "photos" / "a.jpg",) and first.size_hw == (HEIGHT, WIDTH)
    assert first.person.box_xyxy == (10, 5, 20, 25) and first.area_px == 190.5
    assert first.person.mask(HEIGHT, WIDTH).sum() == 200 and first.everybody
    assert first.keypoints is not None and first.scribbles is not None
    assert first.keypoints[INDEX["left_hip"]].tolist() == [11, 22, 2]
    assert first.scribbles.shape == (5, 12, 2)
    assert first.scribbles[1, 0].tolist() == [24, 25] and first.scribbles[0, 5].tolist() == [10, 11]


def test_masks_may_be_rle_as_in_the_validation_file(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:9, 3:7] = 1
    path = file_of(tmp_path, of_person(segmentation=encode_rle(mask)))
    assert (load_references(path, tmp_path)[0].person.mask(HEIGHT, WIDTH) == mask).all()


@pytest.mark.parametrize("nested", [False, True])
def test_scribbles_may_be_nested(tmp_path: Path, nested: bool) -> None:
    values = np.array(SCRIBBLE).reshape(5, 12, 2).tolist() if nested else SCRIBBLE
    found = load_references(file_of(tmp_path, of_person(scribble=values)), tmp_path)[0].scribbles
    assert found is not None and found[4, 11].tolist() == [118, 119]


def test_more_may_be_unknown_than_in_refhuman(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        del data["images"][0]["caption"]
        data["images"][0] |= {"everybody": False, "people": 3, "claim": "on the left"}
        for key in ("keypoints", "num_keypoints", "scribble", "area"):
            del data["annotations"][0][key]
        data["annotations"][0] |= {"segmentation": [], "mask": "none"}

    first, second = load_references(file_of(tmp_path, change), tmp_path)
    assert first.caption is None and first.keypoints is None and first.scribbles is None
    assert (
        not first.everybody
        and first.people == 3
        and not first.person.masked
        and first.area_px == 200
    )
    assert second.caption is not None and second.keypoints is not None


def test_no_labelled_keypoint_says_nothing_of_the_pose(tmp_path: Path) -> None:
    first, _ = load_references(file_of(tmp_path, of_person(keypoints=[0] * 51)), tmp_path)
    assert first.keypoints is None


def test_images_side_by_side_are_one(tmp_path: Path) -> None:
    sizes = ((30, 20), (10, 30))
    listed = [{"file_name": f"{i}.jpg", "width": w, "height": h} for i, (w, h) in enumerate(sizes)]
    first, _ = load_references(file_of(tmp_path, of_image(side_by_side=listed)), tmp_path)
    assert [path.name for path in first.files] == ["0.jpg", "1.jpg"]
    assert first.size_hw == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (of_image(caption=""), "its caption is '', expected a text"),
        (of_image(caption=7), "its caption is 7"),
        (of_image(everybody="yes"), "its everybody is 'yes', expected true or false"),
        (of_image(people=0), "its people is 0, expected a number from 1 on"),
        (of_image(people=True), "its people is True, expected a number from 1 on"),
        (lambda data: data["annotations"].pop(0), "has 0 annotations of people, expected the one"),
        (of_person(image_id=4), "has 0 annotations of people"),
        (of_person(iscrowd=1), "its annotation is a crowd"),
    ],
)
def test_a_broken_entry_is_left_out_and_told(
    change: Change, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(tmp_path, change)
    assert all(one.id == 4 for one in load_references(path, tmp_path))
    assert f"{path}: " in caplog.text and told in caplog.text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"keypoints": KEYPOINTS[:-1]}, "its keypoints are 50 values, expected 51 numbers"),
        ({"keypoints": "none"}, "its keypoints are 'none'"),
        ({"keypoints": [float("nan"), *KEYPOINTS[1:]]}, "its keypoints hold nan"),
        ({"keypoints": [*KEYPOINTS[:-1], 3]}, "hold the visibility 3, expected 0, 1 or 2"),
        ({"scribble": SCRIBBLE[:-2]}, "its scribble has 118 values, expected 120"),
        ({"scribble": ["0", *SCRIBBLE[1:]]}, "its scribble has 120 values"),
        ({"scribble": {}}, "its scribble has 1 values"),
    ],
)
def test_a_broken_part_is_left_out_of_its_entry_and_told(
    changes: dict[str, Any], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = load_references(file_of(tmp_path, of_person(**changes)), tmp_path)
    gone = {"keypoints": first.keypoints, "scribble": first.scribbles}
    assert gone.pop(next(iter(changes))) is None and all(v is not None for v in gone.values())
    assert second.keypoints is not None and second.scribbles is not None
    assert "1 broken references" in caplog.text and told in caplog.text
    assert first.caption == "man in red"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda data: [one.pop("caption") for one in data["images"]],
            "no caption in any of its 2 images; expected a file of references, as `peopleseg "
            "generate-expressions`",
        ),
        (of_image(side_by_side=[]), "has the side_by_side []"),
        (of_image(side_by_side=[{"file_name": "a.jpg"}]), "has the width None"),
        (
            of_image(side_by_side=[{"file_name": "a.jpg", "width": 9, "height": 30}]),
            "is said to be 40 x 30 pixels, those side by side make 9 x 30",
        ),
        (lambda data: data.pop("images"), "it has no images"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(
    change: Change, told: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path, change)
    with pytest.raises(AnnotationError) as caught:
        load_references(path, tmp_path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)
