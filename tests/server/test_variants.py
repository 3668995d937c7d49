"""Every variant is served by the same ensembles, and answers what its steps compute in one process.

One server has an ensemble for each variant, named after both; a release would give them the names
of the contract one after the other.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import tritonclient.grpc as triton

from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.contract import HIERARCHICAL_HEAD
from peopleseg.systems.people.response import People
from serving.embedded import EmbeddedServer
from serving.ports import free_ports
from tests.data.encoded import encoded, some_images
from tests.data.people_images import people_image
from tests.data.published_pipeline import masks_within_margin, published_masks
from tests.server.calls import Arrays, image_array, over_grpc
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.variant_server import (
    DETECTED,
    FEATURES,
    FROM_BOXES,
    SMALL,
    Variants,
    make_variants,
    write_ensembles,
)

HEAD = HIERARCHICAL_HEAD.name

pytestmark = pytest.mark.server

BLACK = cv2.imencode(".png", np.zeros((300, 400, 3), dtype=np.uint8))[1].tobytes()
IMAGES = [*some_images(2), encoded(people_image(5, count=2, size_hw=(300, 900)).image_rgb)]
WIDE = IMAGES[-1]  # letterboxed it is another image than stretched
FOUND = 3  # of variant_repository.PEOPLE: the second sight of the first is dropped
TOLERANCE = 4  # of 255, where a pixel that was resized differs by one step


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Variants:
    return make_variants(tmp_path_factory.mktemp("variants") / "repository")


@pytest.fixture(scope="module")
def served(made: Variants, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    http_port, grpc_port, metrics_port = free_ports(3)
    with EmbeddedServer(
        model_repository=made.repository,
        log_file=tmp_path_factory.mktemp("server") / "triton.log",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        models=write_ensembles(made),
    ) as running:
        running.wait_until_ready(READY_TIMEOUT_S)
        yield running


def ask(server: EmbeddedServer, name: str, image: bytes, **inputs: np.ndarray) -> Arrays:
    return over_grpc(server.grpc_url, name, {"image": image_array(image), **inputs})


def some_boxes(image: bytes) -> np.ndarray:
    """Three boxes, of which one is the whole image and one reaches over its edge."""
    height, width = decode_image(image).shape[:2]
    corners = np.array([[0, 0, 1, 1], [0.2, 0.1, 0.6, 0.8], [0.7, 0.5, 1.1, 1.05]])
    return (corners * ([width, height] * 2)).astype(np.float32)


def assert_same(response: Mapping[str, np.ndarray], people: People) -> None:
    np.testing.assert_allclose(response["boxes"], people.boxes, atol=1e-3)
    np.testing.assert_allclose(response["scores"], people.scores, atol=1e-6)
    assert response["masks"].shape == people.masks.shape
    assert np.abs(response["masks"].astype(int) - people.masks).max(initial=0) <= 1
    for sent, rle in zip(response["rles"], people.rles, strict=True):
        assert (decode_rle(sent) != decode_rle(rle)).mean() < 1e-3


@pytest.mark.parametrize("variant", SMALL)
def test_a_variant_answers_what_its_steps_compute_in_one_process(
    served: EmbeddedServer, made: Variants, variant: str
) -> None:
    pipeline = made.pipeline(variant)
    for image in IMAGES:
        people = pipeline.segment(image)
        assert people.masks.shape == (FOUND, *SMALL[variant])
        assert people.masks.std() > 10
        assert_same(ask(served, f"{DETECTED}_{variant}", image), people)


@pytest.mark.parametrize("variant", SMALL)
def test_a_variant_answers_for_the_callers_boxes(
    served: EmbeddedServer, made: Variants, variant: str
) -> None:
    image = IMAGES[0]
    boxes = some_boxes(image)
    response = ask(served, f"{FROM_BOXES}_{variant}", image, boxes=boxes)
    np.testing.assert_array_equal(response["boxes"], boxes)
    people = made.pipeline(variant).segment_from_boxes(image, boxes)
    assert_same(response | {"boxes": people.boxes}, people)


@pytest.mark.parametrize("variant", SMALL)
def test_nobody_in_the_image_is_four_empty_tensors(
    served: EmbeddedServer, made: Variants, variant: str
) -> None:
    response = ask(served, f"{DETECTED}_{variant}", BLACK)
    assert response["boxes"].shape == (0, 4) and response["scores"].shape == response[
        "rles"
    ].shape == (0,)
    assert response["masks"].shape == (0, *SMALL[variant])
    assert_same(response, made.pipeline(variant).segment(BLACK))


@pytest.mark.parametrize("variant", ["everything", "rgb", "large"])
def test_answers_do_not_depend_on_what_they_were_batched_with(
    served: EmbeddedServer, variant: str
) -> None:
    name, asked = f"{DETECTED}_{variant}", [*IMAGES, BLACK] * 2
    alone = [ask(served, name, image) for image in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda image: ask(served, name, image), asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one["scores"], other["scores"])
        assert np.abs(one["masks"].astype(int) - other["masks"]).max(initial=0) <= 1


def test_the_variants_differ_so_that_a_mix_up_would_show(made: Variants) -> None:
    responses = {v: made.pipeline(v).segment(WIDE) for v in SMALL if v != "large"}
    for name, one in responses.items():
        for other_name, other in responses.items():
            gap = np.abs(one.masks.astype(int) - other.masks)
            assert name == other_name or gap.max() > 10, (name, other_name)


def test_a_step_that_a_variant_does_not_need_does_not_run(
    served: EmbeddedServer, made: Variants
) -> None:
    image, boxes = IMAGES[0], some_boxes(IMAGES[0])

    def runs(variant: str) -> dict[str, int]:
        before = requests_by_step(served)
        ask(served, f"{DETECTED}_{variant}", image)
        ask(served, f"{FROM_BOXES}_{variant}", image, boxes=boxes)
        after = settled(served, before)
        return {step: after[step] - before[step] for step in ("yolov9", "people_unet", HEAD)}

    assert runs("everything") == {"yolov9": 2, "people_unet": 2, HEAD: 2}
    assert runs("no_features") == {"yolov9": 1, "people_unet": 2, HEAD: 2}
    assert runs("no_logit") == {"yolov9": 2, "people_unet": 0, HEAD: 2}
    assert runs("rgb") == {"yolov9": 1, "people_unet": 0, HEAD: 2}


def requests_by_step(server: EmbeddedServer) -> dict[str, int]:
    with triton.InferenceServerClient(server.grpc_url) as client:
        statistics = client.get_inference_statistics().model_stats
    counts = dict.fromkeys(STEPS, 0)
    for model in statistics:
        if model.name in counts:
            counts[model.name] += model.inference_stats.success.count
    return counts


def settled(server: EmbeddedServer, before: dict[str, int]) -> dict[str, int]:
    """The counts once the last step of both requests is among them."""
    while (now := requests_by_step(server))["postprocess"] < before["postprocess"] + 2:
        time.sleep(0.05)
    return now


@pytest.mark.parametrize("size", ["t", "s"])
def test_detectors_of_two_sizes_are_served_beside_each_other(
    served: EmbeddedServer, made: Variants, size: str
) -> None:
    variant, image = f"yolov9_{size}", IMAGES[0]
    boxes = some_boxes(image)
    people = made.pipeline(variant).segment_from_boxes(image, boxes)
    assert people.masks.std() > 10
    response = ask(served, f"{FROM_BOXES}_{variant}", image, boxes=boxes)
    assert_same(response | {"boxes": people.boxes}, people)


def test_the_head_on_features_alone_has_an_ensemble(served: EmbeddedServer, made: Variants) -> None:
    pipeline = made.pipeline("everything")
    for image in (*IMAGES, BLACK):
        people = pipeline.segment_by_features(image)
        assert people.masks.shape == (0 if image == BLACK else FOUND, 56, 56)
        assert_same(ask(served, f"{FEATURES}_everything", image), people)


def test_the_published_head_on_features_answers_for_the_box_within_its_margin(
    served: EmbeddedServer, made: Variants
) -> None:
    pipeline = made.pipeline("published")
    for image in IMAGES:
        prepared = pipeline.call_step("preprocess", {"image": image_array(image)})
        detected = pipeline.call_step("yolov9", {"pixels": prepared["pixels"]})
        inputs = {"predictions": detected["predictions"], "letterbox": prepared["letterbox"]}
        found = pipeline.call_step("select_people", inputs)
        head = made.networks["feature_head"]
        expected = masks_within_margin(head, detected["features"], found["rois"]).numpy()
        people = pipeline.segment_by_features(image)
        assert expected.std() > 10
        assert np.abs(people.masks - expected).max() <= TOLERANCE
        assert_same(ask(served, f"{FEATURES}_published", image), people)


@pytest.fixture(scope="module")
def published(made: Variants) -> list[np.ndarray]:
    """Masks (3, 128, 96) x 255 of the authors' pipeline, in torch, over some boxes of IMAGES."""
    unet, head = made.networks["people_unet"], made.networks[HEAD]
    return [
        published_masks(unet, head, decode_image(image), some_boxes(image)).numpy()
        for image in IMAGES
    ]


def test_published_weights_answer_as_in_their_authors_pipeline(
    served: EmbeddedServer, made: Variants, published: list[np.ndarray]
) -> None:
    pipeline = made.pipeline("published")
    for image, expected in zip(IMAGES, published, strict=True):
        boxes = some_boxes(image)
        here = pipeline.segment_from_boxes(image, boxes)
        assert expected.std() > 10
        assert np.abs(here.masks - expected).max() <= TOLERANCE
        response = ask(served, f"{FROM_BOXES}_published", image, boxes=boxes)
        assert np.abs(response["masks"] - expected).max() <= TOLERANCE
        assert_same(response | {"boxes": here.boxes}, here)


@pytest.mark.parametrize("step", ["preprocess", "roi_align"])
def test_in_the_projects_own_geometry_published_weights_would_answer_otherwise(
    made: Variants, published: list[np.ndarray], step: str
) -> None:
    pipeline = made.pipeline("published", **{step: 1})
    found = pipeline.segment_from_boxes(WIDE, some_boxes(WIDE))
    assert np.abs(found.masks - published[-1]).max() > 10 * TOLERANCE
