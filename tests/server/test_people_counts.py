"""0, 1, the most, and one more than the most people and boxes."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest

from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.systems.people.contract import MASK_SIZE_HW, MAX_PEOPLE, NO_PERSON_SCORE
from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded_image
from tests.server.calls import Arrays, Refused, image_array, over_grpc, over_http

pytestmark = pytest.mark.server

Call = Callable[..., Arrays]  # model, inputs, and parameters by name
IMAGE = encoded_image(seed=3, people=1)
BLACK = cv2.imencode(".png", np.zeros((240, 320, 3), dtype=np.uint8))[1].tobytes()


@pytest.fixture(params=["grpc", "http"])
def call(server: EmbeddedServer, request: pytest.FixtureRequest) -> Call:
    if request.param == "grpc":
        return partial(over_grpc, server.grpc_url)
    return partial(over_http, server.http_url)


def grid_boxes(count: int) -> np.ndarray:
    """Different boxes of 24 x 30 pixels, row by row."""
    column, row = np.arange(count) % 10, np.arange(count) // 10
    corners = np.stack((column * 25, row * 32), axis=1)
    return np.concatenate((corners, corners + (24, 30)), axis=1).astype(np.float32)


def planted(count: int) -> Arrays:
    """What `select_people` reads, with `count` separate people, the later the surer."""
    predictions = np.zeros((1, 5, 100), dtype=np.float32)
    index = np.arange(count)
    predictions[0, 0, :count] = 30 + 60 * (index % 10)
    predictions[0, 1, :count] = 30 + 60 * (index // 10)
    predictions[0, 2:4, :count] = 40
    predictions[0, 4, :count] = 0.5 + index / 1000
    letterbox = Letterbox.fit(INPUT_SIZE, INPUT_SIZE).to_array()
    return {"predictions": predictions, "letterbox": letterbox[np.newaxis]}


def assert_lengths(response: Arrays, count: int) -> None:
    assert response["boxes"].shape == (count, 4)
    assert response["scores"].shape == (count,)
    assert response["masks"].shape == (count, *MASK_SIZE_HW)
    assert response["rles"].shape == (count,)


def test_nobody_in_the_image_is_four_empty_tensors(call: Call) -> None:
    # Whatever the weights take black for, they are not quite certain of it.
    response = call("person_segmentation", {"image": image_array(BLACK)}, min_score=1.0)
    assert_lengths(response, 0)


@pytest.mark.parametrize("count", [0, 1, MAX_PEOPLE])
def test_each_box_gets_one_mask_in_its_place(call: Call, count: int) -> None:
    boxes = grid_boxes(count)
    response = call("person_segmentation_from_boxes", {"image": image_array(IMAGE), "boxes": boxes})
    assert_lengths(response, count)
    np.testing.assert_allclose(response["boxes"], boxes, atol=0.01)
    np.testing.assert_array_equal(response["scores"], np.ones(count))


def test_one_box_too_many_is_refused_with_the_limit(call: Call) -> None:
    inputs = {"image": image_array(IMAGE), "boxes": grid_boxes(MAX_PEOPLE + 1)}
    with pytest.raises(Refused) as refused:
        call("person_segmentation_from_boxes", inputs)
    assert refused.value.status in ("StatusCode.INVALID_ARGUMENT", "400")
    assert f"boxes_to_rois: boxes has {MAX_PEOPLE + 1} rows" in refused.value.message
    assert str(MAX_PEOPLE) in refused.value.message


@pytest.mark.parametrize("count", [1, MAX_PEOPLE, MAX_PEOPLE + 1])
def test_the_best_people_are_kept_up_to_the_limit(call: Call, count: int) -> None:
    found = call("select_people", planted(count))
    kept = min(count, MAX_PEOPLE)
    assert found["rois"].shape == (kept, 5)
    best = 0.5 + np.arange(count)[::-1][:kept] / 1000
    np.testing.assert_allclose(found["scores"], best, atol=1e-6)


def test_nobody_is_one_dummy_roi_between_the_steps(call: Call) -> None:
    found = call("select_people", planted(0))
    assert found["rois"].shape == (1, 5)
    assert found["scores"].tolist() == [NO_PERSON_SCORE]
