"""When two responses of the referring system are the same."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT
from peopleseg.pixels.masks import encode_rle, rles_as_json
from peopleseg.systems.referring.agreement import IN_SIGHT, KEYPOINT_TOLERANCE, SURE, unlike

Response = dict[str, NDArray[Any]]
BOXES = np.array([[10, 10, 30, 60], [40, 20, 70, 90], [0, 0, 5, 5]], np.float32)


def masks(boxes: NDArray[np.float32]) -> NDArray[np.object_]:
    """The boxes themselves."""
    images = np.zeros((len(boxes), 100, 100), np.uint8)
    for image, (x1, y1, x2, y2) in zip(images, boxes.astype(int), strict=True):
        image[y1:y2, x1:x2] = 1
    return rles_as_json([encode_rle(image) for image in images])


def response() -> Response:
    """To three prompts; of the last one's person it is not sure."""
    keypoints = np.zeros((3, COUNT, 3), np.float32)
    keypoints[..., :2] = BOXES[:, None, :2] + 3
    keypoints[:, :10, 2] = 0.9  # the other joints are out of sight
    return {
        "boxes": BOXES.copy(),
        "scores": np.array([0.9, 0.6, SURE / 2], np.float32),
        "keypoints": keypoints,
        "rles": masks(BOXES),
    }


def said(found: Response) -> str:
    return str(unlike({}, found, response()))


def test_a_response_is_like_itself() -> None:
    assert unlike({}, response(), response()) is None


def test_what_rounds_differently_is_alike(random: np.random.Generator) -> None:
    found = response()
    found["scores"] += np.array([0.01, -0.01, 0.01], np.float32)
    found["boxes"] += random.uniform(-1, 1, (3, 4)).astype(np.float32)
    found["keypoints"][:2, :, :2] += KEYPOINT_TOLERANCE * 50 / 2
    near = BOXES.copy()
    near[0, 3] += 2  # of 50 pixels
    found["rles"] = masks(near)
    assert unlike({}, found, response()) is None


def test_who_is_hardly_meant_may_be_another() -> None:
    found = response()
    found["boxes"][2], found["keypoints"][2] = (50, 50, 99, 99), 70
    found["rles"][2] = found["rles"][1]
    assert unlike({}, found, response()) is None


@pytest.mark.parametrize("prompt", [0, 1, 2])
def test_another_score_is_named(prompt: int) -> None:
    for value, shown in ((0.3, "0.300"), (float("nan"), "nan")):
        found = response()
        found["scores"][prompt] = value
        expected = response()["scores"][prompt]
        assert said(found) == f"prompt {prompt} has score {shown} instead of {expected:.3f}"


@pytest.mark.parametrize("prompt", [0, 1])
def test_another_mask_is_named(prompt: int) -> None:
    found = response()
    found["rles"] = masks(BOXES + (0, 8, 0, 8))
    found["rles"][1 - prompt] = response()["rles"][1 - prompt]
    assert said(found).startswith(f"the masks of prompt {prompt} have an IoU of 0.")


def test_a_mask_of_nothing_is_named_and_two_of_nothing_are_alike() -> None:
    found, nothing = response(), masks(np.zeros((3, 4), np.float32))
    found["rles"] = nothing
    assert said(found) == "the masks of prompt 0 have an IoU of 0.00, less than 0.9"
    assert unlike({}, found, response() | {"rles": nothing}) is None


@pytest.mark.parametrize("edge", range(4))
def test_another_box_is_named(edge: int) -> None:
    for value, off in ((BOXES[1, edge] + 4, "4.0"), (float("nan"), "nan")):
        found = response()
        found["boxes"][1, edge] = value
        assert said(found) == f"an edge of the box of prompt 1 is off by {off} pixels"


def test_joints_elsewhere_are_named_but_not_those_out_of_sight() -> None:
    found = response()
    found["keypoints"][1, 10:, :2] = 0
    assert unlike({}, found, response()) is None
    found["keypoints"][1, :10, 0] += 6
    assert said(found) == "the keypoints of prompt 1 are 6.0 pixels apart in the mean"
    found["keypoints"][1, 0, 0] = float("nan")
    assert said(found).startswith("the keypoints of prompt 1 are nan")


def test_where_no_joint_is_in_sight_none_is_compared() -> None:
    expected, found = response(), response()
    expected["keypoints"][..., 2] = IN_SIGHT / 2
    found["keypoints"][...] = 0
    assert unlike({}, found, expected) is None


@pytest.mark.parametrize("name", ["boxes", "scores", "keypoints", "rles"])
def test_another_number_of_prompts_is_named(name: str) -> None:
    found = response()
    found[name] = found[name][:2]
    shape = list(response()[name].shape)
    assert said(found) == f"{name} has shape {[2, *shape[1:]]} instead of {shape}"
