"""The steps of the referring system, each called as the pipeline calls it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.labels.keypoints import COUNT
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.pixels.masks import decode_rle, encode_rle, rles_as_json
from peopleseg.repository.tensors import Model
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.choosing import by_points
from peopleseg.systems.referring.contract import MAX_PROMPTS, ON
from peopleseg.systems.referring.crops import crop, crop_matrix
from peopleseg.systems.referring.describing import describe, length_of
from peopleseg.systems.referring.response import keypoints_of
from peopleseg.systems.referring.steps.choose_by_points import ChooseByPoints
from peopleseg.systems.referring.steps.crop_people import CropPeople
from peopleseg.systems.referring.steps.describe_people import DescribePeople
from peopleseg.systems.referring.steps.postprocess_referred import PostprocessReferred
from peopleseg.systems.step import Arrays, Step

LETTERBOX = Letterbox.fit(400, 200)
CROP_HW = (64, 48)
BOXES = np.array([[20, 10, 100, 190], [150, 20, 380, 200], [-5, 100, 30, 220]], np.float32)
LOOKS = 5
DTYPES = {"FP32": np.float32, "UINT8": np.uint8, "INT64": np.int64, "BYTES": np.object_}


@pytest.fixture
def tensors(random: np.random.Generator) -> Arrays:
    """What an ensemble has once the networks have run, of three people and two prompts."""
    masks = np.zeros((3, LETTERBOX.height, LETTERBOX.width), np.uint8)
    for number, mask in enumerate(masks):
        mask[:, 100 * number : 100 * number + 50] = 1
    return {
        "pixels": random.integers(0, 256, (1, 3, INPUT_SIZE, INPUT_SIZE), dtype=np.uint8),
        "letterbox": LETTERBOX.to_array()[None],
        "people_boxes": BOXES,
        "people_scores": np.array([0.9, 0.8, 0.3], np.float32),
        "people_masks": np.full((3, 8, 6), 255, np.uint8),
        "people_rles": rles_as_json([encode_rle(mask) for mask in masks]),
        "crops": np.zeros((3, 3, *CROP_HW), np.uint8),
        "joints": random.random((3, COUNT, 3)).astype(np.float32),
        "looks": random.normal(size=(3, LOOKS)).astype(np.float32),
        "points": np.array([[[60, 100, ON]], [[300, 100, ON]]], np.float32),
        "text": np.array([b"left", b"right"], np.object_),
        "choices": np.array([[0.1, 0.7, 0.2], [0.5, 0.4, 0.1]], np.float32),
    }


@pytest.fixture
def nobody(tensors: Arrays) -> Arrays:
    """The same where nobody was found: one crop of nothing went through the networks."""
    found = {name: one[:0] for name, one in tensors.items() if name.startswith("people_")}
    crops = {name: tensors[name][:1] for name in ("crops", "joints", "looks")}
    return tensors | found | crops | {"choices": np.zeros((2, 0), np.float32)}


def call(step: Step, tensors: Arrays) -> Arrays:
    """With the step's own inputs; its outputs are those that its model says."""
    inputs = {tensor.name: tensors[tensor.name] for tensor in step.model.inputs}
    found = step.compute([tensor.name for tensor in step.model.outputs], **inputs)
    _check(step.model, found)
    return found


def _check(model: Model, found: Arrays) -> None:
    assert list(found) == [tensor.name for tensor in model.outputs]
    for tensor in model.outputs:
        one = found[tensor.name]
        assert one.dtype == DTYPES[tensor.dtype], tensor.name
        assert one.ndim == len(tensor.shape), tensor.name
        pairs = zip(one.shape, tensor.shape, strict=True)
        assert all(expected in (-1, length) for length, expected in pairs), tensor.name


def test_crops_are_those_of_the_square_around_each_box(tensors: Arrays) -> None:
    found = call(CropPeople(*CROP_HW), tensors)["crops"]
    square = np.ascontiguousarray(tensors["pixels"][0].transpose(1, 2, 0))
    boxes = LETTERBOX.boxes_to_network(BOXES)
    for own, box in zip(found, boxes, strict=True):
        expected = crop(square, crop_matrix(box, CROP_HW), CROP_HW)
        np.testing.assert_array_equal(own.transpose(1, 2, 0), expected)
    alone = [call(CropPeople(*CROP_HW), tensors | {"people_boxes": BOXES[n : n + 1]})
             for n in range(3)]  # fmt: skip
    np.testing.assert_array_equal(np.concatenate([one["crops"] for one in alone]), found)


def test_crops_have_the_size_of_the_settings() -> None:
    assert CropPeople.shapes({"height": 96, "width": 64}, {}) == {"crops": (-1, 3, 96, 64)}
    assert CropPeople.shapes({}, {}) == {"crops": (-1, 3, *CropPeople().size_hw)}


def test_of_nobody_there_is_one_black_crop(nobody: Arrays) -> None:
    found = call(CropPeople(*CROP_HW), nobody)["crops"]
    assert found.shape == (1, 3, *CROP_HW) and not found.any()


def test_points_choose_in_the_pixels_of_the_image(tensors: Arrays, nobody: Arrays) -> None:
    found = call(ChooseByPoints(), tensors)["choices"]
    expected = by_points(
        tensors["points"], BOXES, tensors["people_scores"], tensors["people_masks"]
    )
    np.testing.assert_array_equal(found, expected)
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert call(ChooseByPoints(), nobody)["choices"].shape == (2, 0)


def test_points_are_checked_before_anything_is_chosen(nobody: Arrays) -> None:
    wrong = {"points": np.array([[[401, 0, ON]]], np.float32)}
    with pytest.raises(InvalidInput, match="not in the image of 400 x 200 pixels"):
        call(ChooseByPoints(), nobody | wrong)


def test_everybody_is_told_of_once_for_each_text(tensors: Arrays) -> None:
    found = call(DescribePeople(), tensors)["people"]
    assert found.shape == (2, MAX_PEOPLE, length_of(LOOKS))
    keypoints = keypoints_of(tensors["joints"], BOXES, CROP_HW, LETTERBOX)
    scores, looks = tensors["people_scores"], tensors["looks"]
    expected = describe(BOXES, scores, keypoints, looks, (200, 400))
    np.testing.assert_array_equal(found, np.stack([expected, expected]))


def test_of_nobody_nothing_is_told(nobody: Arrays) -> None:
    found = call(DescribePeople(), nobody)["people"]
    assert found.shape == (2, MAX_PEOPLE, length_of(LOOKS)) and not found.any()


@pytest.mark.parametrize("count", [0, MAX_PROMPTS + 1])
def test_nothing_is_told_for_more_texts_than_a_request_may_have(
    tensors: Arrays, count: int
) -> None:
    texts = np.full(count, b"left", np.object_)
    with pytest.raises(InvalidInput, match=f"text has {count} prompts, expected 1 to 64"):
        call(DescribePeople(), tensors | {"text": texts})


def width_of(choices: NDArray[Any], width: int) -> NDArray[Any]:
    return np.pad(choices, ((0, 0), (0, width - choices.shape[1])))


def test_the_response_is_of_whom_each_prompt_means(tensors: Arrays) -> None:
    found = call(PostprocessReferred(), tensors)
    np.testing.assert_array_equal(found["boxes"], BOXES[[1, 0]])
    np.testing.assert_allclose(found["scores"], (0.7, 0.5))
    keypoints = keypoints_of(tensors["joints"], BOXES, CROP_HW, LETTERBOX)
    np.testing.assert_array_equal(found["keypoints"], keypoints[[1, 0]])
    assert found["rles"].tolist() == tensors["people_rles"][[1, 0]].tolist()
    by_text = tensors | {"choices": width_of(tensors["choices"], MAX_PEOPLE)}
    for name, one in call(PostprocessReferred(), by_text).items():
        np.testing.assert_array_equal(one, found[name])


@pytest.mark.parametrize("width", [0, MAX_PEOPLE])
def test_where_nobody_is_the_response_says_so(nobody: Arrays, width: int) -> None:
    choices = np.full((2, width), 0.5, np.float32)
    found = call(PostprocessReferred(), nobody | {"choices": choices})
    assert not any(found[name].any() for name in ("boxes", "scores", "keypoints"))
    for rle in found["rles"]:
        mask = decode_rle(rle)
        assert mask.shape == (200, 400) and not mask.any()
