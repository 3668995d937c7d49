"""The server's response is that of the same steps in one process, whatever it is batched with."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.images import prepare
from peopleseg.pixels.masks import decode_rle
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.response import People
from peopleseg.systems.people.selection import select_people
from serving.embedded import EmbeddedServer
from tests.data.encoded import some_images
from tests.server.calls import Arrays, image_array, over_grpc

pytestmark = pytest.mark.server

IMAGES = some_images(6)


@pytest.fixture(scope="module")
def pipeline() -> PeoplePipeline:
    return PeoplePipeline(MODEL_REPOSITORY)


@pytest.fixture(scope="module")
def alone(server: EmbeddedServer) -> list[Arrays]:
    """Each image's response when nothing else is asked."""
    return [segment(server, image) for image in IMAGES]


def segment(server: EmbeddedServer, image: bytes) -> Arrays:
    return over_grpc(server.grpc_url, "person_segmentation", {"image": image_array(image)})


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def assert_same(response: Arrays, people: People) -> None:
    assert len(response["boxes"]) == len(people.boxes)
    np.testing.assert_allclose(response["boxes"], people.boxes, atol=0.5)
    np.testing.assert_allclose(response["scores"], people.scores, atol=1e-3)
    for sent, rle in zip(response["rles"], people.rles, strict=True):
        assert mask_iou(decode_rle(sent), decode_rle(rle)) >= 0.99


def test_the_server_answers_what_the_steps_in_one_process_answer(
    alone: list[Arrays], pipeline: PeoplePipeline
) -> None:
    assert any(len(response["boxes"]) for response in alone)
    for image, response in zip(IMAGES, alone, strict=True):
        assert_same(response, pipeline.segment(image))


def test_the_server_s_mask_logits_are_those_of_the_steps_in_one_process(
    server: EmbeddedServer, pipeline: PeoplePipeline
) -> None:
    def served(model: str, **inputs: np.ndarray) -> Arrays:
        return over_grpc(server.grpc_url, model, inputs)

    for image in IMAGES[:3]:
        pixels, letterbox = prepare(image)
        detected = pipeline.call_step("yolov9", {"pixels": pixels})
        rois = select_people(detected["predictions"][0], letterbox).rois
        person_logit = pipeline.call_step("people_unet", {"pixels": pixels})["person_logit"]
        here = pipeline.call_step(
            "roi_align",
            {
                "pixels": pixels,
                "person_logit": person_logit,
                "features": detected["features"],
                "rois": rois,
            },
        )
        prepared = served("preprocess", image=image_array(image)[:, None])
        np.testing.assert_array_equal(prepared["pixels"], pixels)
        aligned = served(
            "roi_align",
            pixels=prepared["pixels"],
            person_logit=served("people_unet", pixels=pixels)["person_logit"],
            features=served("yolov9", pixels=pixels)["features"],
            rois=rois,
        )
        logits = served("hierarchical_head", **aligned)["mask_logits"]
        expected = pipeline.call_step("hierarchical_head", here)["mask_logits"]
        np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_masks_over_the_caller_s_boxes_equal_those_in_one_process(
    server: EmbeddedServer, pipeline: PeoplePipeline
) -> None:
    for image in IMAGES[:2]:
        _, letterbox = prepare(image)
        boxes = some_boxes(letterbox)
        inputs = {"image": image_array(image), "boxes": boxes}
        response = over_grpc(server.grpc_url, "person_segmentation_from_boxes", inputs)
        assert_same(response, pipeline.segment_from_boxes(image, boxes))


def test_the_foreground_equals_that_in_one_process(
    server: EmbeddedServer, pipeline: PeoplePipeline
) -> None:
    for image in IMAGES[:2]:
        inputs = {"image": image_array(image)}
        response = over_grpc(server.grpc_url, "people_foreground", inputs)["foreground"]
        gap = np.abs(response.astype(int) - pipeline.foreground(image))
        assert gap.max() <= 1


def test_a_response_does_not_depend_on_what_it_was_batched_with(
    server: EmbeddedServer, alone: list[Arrays]
) -> None:
    with ThreadPoolExecutor(len(IMAGES)) as pool:
        together = list(pool.map(lambda image: segment(server, image), IMAGES))
    for response, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(response["boxes"], expected["boxes"], atol=0.5)
        np.testing.assert_allclose(response["scores"], expected["scores"], atol=1e-3)
        for sent, rle in zip(response["rles"], expected["rles"], strict=True):
            assert mask_iou(decode_rle(sent), decode_rle(rle)) >= 0.99


def some_boxes(letterbox: Letterbox) -> np.ndarray:
    """Four boxes of different shapes inside the image."""
    corners = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.5, 0.9], [0.4, 0.4, 0.6, 0.5], [0.7, 0, 1, 1]])
    return (corners * ([letterbox.width, letterbox.height] * 2)).astype(np.float32)
