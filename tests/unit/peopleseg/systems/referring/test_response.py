"""From choices among everybody to the one person of each prompt."""

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import decode_rle, encode_rle, rles_as_json
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.crops import MARGIN
from peopleseg.systems.referring.response import Referred, keypoints_of, referred

SIZE_HW = (30, 40)
CROP_HW = (64, 48)


People = tuple[NDArray[np.float32], NDArray[np.object_], NDArray[np.float32]]


def people(count: int, random: np.random.Generator) -> People:
    """Boxes, RLEs and keypoints."""
    boxes = random.uniform(0, 30, (count, 4)).astype(np.float32)
    masks = (random.random((count, *SIZE_HW)) < 0.5).astype(np.uint8)
    rles = rles_as_json([encode_rle(mask) for mask in masks])
    return boxes, rles, random.uniform(0, 30, (count, COUNT, 3)).astype(np.float32)


def test_where_nobody_is_every_prompt_gets_nobody(random: np.random.Generator) -> None:
    boxes, rles, keypoints = people(0, random)
    for width in (0, MAX_PEOPLE):  # of choices by points, of those by a text
        choices = np.full((3, width), 1 / 64, np.float32)
        found = referred(choices, boxes, rles, keypoints, SIZE_HW)
        assert [one.shape for one in found] == [(3, 4), (3,), (3, COUNT, 3), (3,)]
        assert [one.dtype for one in found[:3]] == [np.float32] * 3
        assert not any(one.any() for one in found[:3])
        for rle in found.rles:
            mask = decode_rle(rle)
            assert mask.shape == SIZE_HW and not mask.any()


@pytest.mark.parametrize("more", [0, 5])
def test_each_prompt_gets_who_is_most_likely(more: int, random: np.random.Generator) -> None:
    boxes, rles, keypoints = people(4, random)
    choices = random.uniform(0, 0.9, (6, 4 + more)).astype(np.float32)
    choices[:, 4:] = 1  # of nobody
    found = referred(choices, boxes, rles, keypoints, SIZE_HW)
    for prompt, row in enumerate(choices[:, :4]):
        best = row.tolist().index(max(row.tolist()))
        assert found.scores[prompt] == row[best] and found.rles[prompt] == rles[best]
        np.testing.assert_array_equal(found.boxes[prompt], boxes[best])
        np.testing.assert_array_equal(found.keypoints[prompt], keypoints[best])


def test_prompts_together_are_as_each_alone(random: np.random.Generator) -> None:
    everybody = people(3, random)
    choices = random.random((5, 3)).astype(np.float32)
    together = referred(choices, *everybody, size_hw=SIZE_HW)
    alone = [referred(one[None], *everybody, size_hw=SIZE_HW) for one in choices]
    for name in Referred._fields:
        joined = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_array_equal(getattr(together, name), joined)


def plain_keypoint(
    x: float, y: float, box: NDArray[np.float32], letterbox: Letterbox
) -> tuple[float, float]:
    """Of a joint at x, y in parts of the crop: through the crop, the square and the image."""
    to_square = (letterbox.scale_x, letterbox.pad_left), (letterbox.scale_y, letterbox.pad_top)
    left, right = (edge * to_square[0][0] + to_square[0][1] for edge in (box[0], box[2]))
    top, bottom = (edge * to_square[1][0] + to_square[1][1] for edge in (box[1], box[3]))
    pixel = MARGIN * max((right - left) / CROP_HW[1], (bottom - top) / CROP_HW[0])
    square_x = (left + right) / 2 + (x - 0.5) * CROP_HW[1] * pixel
    square_y = (top + bottom) / 2 + (y - 0.5) * CROP_HW[0] * pixel
    in_image = (square_x - to_square[0][1]) / to_square[0][0]
    return in_image - 0.5, (square_y - to_square[1][1]) / to_square[1][0] - 0.5


@pytest.mark.parametrize(
    "letterbox",
    [Letterbox.fit(640, 640), Letterbox.fit(1280, 720), Letterbox.fit(33, 200),
     Letterbox.stretch(300, 900)],
    ids=["square", "wide", "narrow", "stretched"],
)  # fmt: skip
def test_keypoints_come_back_through_crop_and_letterbox(
    letterbox: Letterbox, random: np.random.Generator
) -> None:
    width, height = letterbox.width, letterbox.height
    corners = np.sort(random.uniform(0, 1, (5, 2, 2)), axis=1) * (width, height)
    boxes = corners.reshape(5, 4).astype(np.float32)
    boxes[0] = 0, 0, width, height  # all of the image
    boxes[1] = width - 5, height - 9, width, height  # in its corner
    boxes[2] = -20, -30, 12, 15  # partly outside
    joints = random.random((8, COUNT, 3)).astype(np.float32)  # of more crops than people
    kept = joints.copy()
    found = keypoints_of(joints, boxes, CROP_HW, letterbox)
    assert found.shape == (5, COUNT, 3) and found.dtype == np.float32
    expected = [
        [plain_keypoint(x, y, box, letterbox) for x, y, _ in own]
        for own, box in zip(joints, boxes, strict=False)
    ]
    np.testing.assert_allclose(
        found[..., :2], expected, atol=2e-3 * max(width, height) / 640 + 2e-4
    )
    np.testing.assert_array_equal(found[..., 2], joints[:5, :, 2])
    np.testing.assert_array_equal(joints, kept)  # nothing is written into what is given


def test_the_middle_of_the_crop_is_the_middle_of_the_box() -> None:
    boxes = np.array([[10, 20, 30, 80]], np.float32)
    joints = np.full((1, COUNT, 3), 0.5, np.float32)
    found = keypoints_of(joints, boxes, CROP_HW, Letterbox.fit(100, 100))
    np.testing.assert_allclose(found[0, :, :2], np.full((COUNT, 2), (19.5, 49.5)), atol=1e-4)


def test_nobody_has_no_keypoints() -> None:
    joints, boxes = np.zeros((1, COUNT, 3), np.float32), np.zeros((0, 4), np.float32)
    assert keypoints_of(joints, boxes, CROP_HW, Letterbox.fit(9, 9)).shape == (0, COUNT, 3)
