"""Masks for people with a box alone: which are kept, which are not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from peopleseg.cli.main import main
from peopleseg.pixels.masks import decode_rle, encode_rle
from peopleseg.systems.people.response import People
from tests.data.small_repository import write_small_repository
from training.data.mask_filling import Agreement, filled

SIDE = 200


class RedSegmenter:
    """Masks what is red in each box; `confused` on mirrored images, whose left edge is green."""

    def __init__(self, confused: bool = False) -> None:
        self.confused = confused

    def segment_from_boxes(self, image: bytes, boxes_xyxy: np.ndarray, /) -> People:
        bgr = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        red = (bgr[..., 2] > 200) & (bgr[..., 1] < 100)
        if self.confused and bgr[0, 0, 1] > 200:
            red = np.roll(red, 20, axis=0)
        masks = []
        for x1, y1, x2, y2 in boxes_xyxy.round().astype(int):
            mask = np.zeros(red.shape, dtype=np.uint8)
            mask[max(y1, 0) : y2, max(x1, 0) : x2] = red[max(y1, 0) : y2, max(x1, 0) : x2]
            masks.append(encode_rle(mask))
        count = len(masks)
        return People(boxes_xyxy, np.ones(count, "f4"), np.zeros((count, 1, 1), "u1"), masks)


@pytest.fixture
def image() -> np.ndarray:
    """Two red people on grey; the right edge is green."""
    image = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    image[40:160, 30:70] = image[60:180, 110:170] = (255, 0, 0)
    image[:, -1] = (0, 255, 0)
    return image


def person(box_xyxy: list[float], **more) -> dict:
    x1, y1, x2, y2 = box_xyxy
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": [], "iscrowd": 0, **more}


FIRST, SECOND = [28.0, 38.0, 72.0, 162.0], [108.0, 58.0, 172.0, 182.0]


def keypoints(*points: tuple[float, float, int]) -> list[float]:
    return [value for point in points for value in point]


def test_who_has_no_mask_gets_one_and_others_are_left_alone(image: np.ndarray) -> None:
    people = [
        person(FIRST),
        person(SECOND, segmentation=[[0, 0, 1, 0, 1, 1]]),
        person(SECOND, iscrowd=1),
        person([30.0, 40.0, 40.0, 60.0]),  # too small
    ]
    masks = filled(RedSegmenter(), image, people)
    assert list(masks) == [0]
    expected = np.zeros((SIDE, SIDE), dtype=np.uint8)
    expected[40:160, 30:70] = 1
    np.testing.assert_array_equal(decode_rle(masks[0]), expected)


def test_a_head_that_says_another_thing_of_the_mirrored_image_is_not_believed(
    image: np.ndarray,
) -> None:
    assert filled(RedSegmenter(confused=True), image, [person(FIRST)]) == {}
    assert list(filled(RedSegmenter(confused=True), image, [person(FIRST)], Agreement(0.5))) == [0]


def test_a_box_whose_margin_holds_more_is_not_believed(image: np.ndarray) -> None:
    part = [person([30.0, 60.0, 70.0, 140.0])]  # of a taller person
    assert filled(RedSegmenter(), image, part, Agreement(least_iou=0.95)) == {}


@pytest.mark.parametrize(
    ("own", "others", "kept"),
    [
        (keypoints((50, 50, 2), (50, 150, 2)), [], True),
        (keypoints((50, 50, 2), (75, 150, 2)), [], False),  # half of them beside the mask
        (keypoints((50, 50, 2), (75, 150, 1)), [], True),  # that one is not seen
        ([], keypoints((50, 100, 2), (60, 100, 2)), False),  # the other person's are in it
        ([], keypoints((120, 100, 2)), True),
    ],
)
def test_keypoints_tell_whose_mask_it_is(
    image: np.ndarray, own: list[float], others: list[float], kept: bool
) -> None:
    people = [person(FIRST, keypoints=own), person(SECOND, keypoints=others)]
    assert (0 in filled(RedSegmenter(), image, people)) is kept


def test_nobody_and_more_people_than_a_request_takes(image: np.ndarray) -> None:
    assert filled(RedSegmenter(), image, []) == {}
    assert len(filled(RedSegmenter(), image, [person(FIRST)] * 70)) == 70


@pytest.fixture
def red_data(tmp_path: Path) -> Path:
    """Annotations of two images with a person by a box each, of which one is there."""
    red = np.zeros((640, 640, 3), dtype=np.uint8)
    red[120:520, 220:420] = (0, 0, 255)  # BGR
    cv2.imwrite(str(tmp_path / "0.png"), red)
    data = {
        "images": [
            {"id": 7, "file_name": "0.png", "width": 640, "height": 640},
            {"id": 8, "file_name": "missing.png", "width": 640, "height": 640},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, **person([200.0, 100.0, 440.0, 540.0])},
            {"id": 2, "image_id": 8, "category_id": 1, **person([0.0, 0.0, 50.0, 50.0])},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "people.json").write_text(json.dumps(data))
    return tmp_path / "people.json"


def fill(annotations: Path, out: Path, *options: str, images: Path | None = None) -> int:
    named = [f"--annotations={annotations}", f"--out={out}"]
    return main(["fill-masks", f"--images={images or annotations.parent}", *named, *options])


def test_the_command_writes_a_file_with_what_is_sure(
    red_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, out = write_small_repository(tmp_path / "repository"), tmp_path / "filled.json"
    assert fill(red_data, out, f"--model-repository={repository}") == 0
    said = capsys.readouterr()
    assert "1 people got a mask, 1 still have a box alone" in said.out
    assert "missing.png" in said.err
    first, second = json.loads(out.read_text())["annotations"]
    assert first["mask"] == "filled"
    assert second == json.loads(red_data.read_text())["annotations"][1]
    mask = decode_rle(first["segmentation"])
    assert mask[130:510, 230:410].all() and mask.sum() == pytest.approx(400 * 200, rel=0.05)


def test_what_cannot_be_filled_is_told_and_nothing_is_written(
    red_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "filled.json"
    assert fill(red_data, out, images=tmp_path / "nowhere") == 1
    assert f"{tmp_path / 'nowhere'} has none of the images of" in capsys.readouterr().err
    assert fill(red_data, out, "--least-iou=5") == 2
    assert "5.0 is not a number from 0 to 1" in capsys.readouterr().err
    red_data.write_text("[]")
    assert fill(red_data, out) == 1
    assert "is not a COCO annotation file" in capsys.readouterr().err
    assert not out.exists()
