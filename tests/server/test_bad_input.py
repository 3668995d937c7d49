"""Bad input costs one clear error and nothing else."""

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded_image
from tests.server.calls import Arrays, Refused, image_array, over_grpc, over_http

pytestmark = pytest.mark.server

Call = Callable[[str, Arrays], Arrays]
GOOD = encoded_image(seed=0, people=2)
BAD_REQUEST = {"grpc": "StatusCode.INVALID_ARGUMENT", "http": "400"}


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in chunks)


def png_chunk(name: bytes, data: bytes) -> bytes:
    length, checksum = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(name + data))
    return length + name + data + checksum


BAD_IMAGES = {
    "empty": (b"", "0 bytes"),
    "random": (np.random.default_rng(0).bytes(5000), "not an image"),
    "text": (b"These are not the pixels you are looking for.\n" * 40, "not an image"),
    "truncated": (GOOD[: len(GOOD) // 2], "truncated"),
    "101 megapixels": (png_header(10_100, 10_000), "100000000"),
}


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def call(server: EmbeddedServer, protocol: str) -> Call:
    if protocol == "grpc":
        return lambda model, inputs: over_grpc(server.grpc_url, model, inputs)
    return lambda model, inputs: over_http(server.http_url, model, inputs)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_a_bad_image_is_refused_by_preprocess_with_the_reason(
    call: Call, protocol: str, fault: str
) -> None:
    image, reason = BAD_IMAGES[fault]
    for model in ("person_segmentation", "people_foreground"):
        with pytest.raises(Refused) as refused:
            call(model, {"image": image_array(image)})
        assert refused.value.status == BAD_REQUEST[protocol]
        assert "preprocess: " in refused.value.message
        assert reason in refused.value.message
    assert call("people_foreground", {"image": image_array(GOOD)})["foreground"].size


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((700.0, 10.0, 900.0, 40.0), "outside the image"),
        ((10.0, 10.0, 10.0, 40.0), "empty"),
        ((50.0, 10.0, 20.0, 40.0), "reversed"),
        ((10.0, float("nan"), 30.0, 40.0), "not finite"),
    ],
)
def test_a_bad_box_is_refused_by_boxes_to_rois_with_its_row(
    call: Call, protocol: str, row: tuple[float, ...], reason: str
) -> None:
    inputs = {"image": image_array(GOOD), "boxes": boxes((10, 10, 60, 90), row)}
    with pytest.raises(Refused) as refused:
        call("person_segmentation_from_boxes", inputs)
    assert refused.value.status == BAD_REQUEST[protocol]
    assert "boxes_to_rois: boxes[1]" in refused.value.message
    assert reason in refused.value.message


def test_two_images_in_one_request_are_refused(call: Call, protocol: str) -> None:
    with pytest.raises(Refused) as refused:
        call("person_segmentation", {"image": image_array(GOOD, GOOD)})
    assert refused.value.status == BAD_REQUEST[protocol]
    assert "'image'" in refused.value.message


def test_a_wrong_dtype_is_refused(call: Call, protocol: str) -> None:
    inputs = {"image": image_array(GOOD), "boxes": boxes((1, 2, 30, 40)).astype(np.float64)}
    with pytest.raises(Refused) as refused:
        call("person_segmentation_from_boxes", inputs)
    assert refused.value.status == BAD_REQUEST[protocol]
    assert "'boxes'" in refused.value.message
    assert "FP32" in refused.value.message


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 4000), (4000, 20)])
def test_a_tiny_and_a_very_narrow_image_are_answered(call: Call, width: int, height: int) -> None:
    pixels = np.full((height, width, 3), 90, dtype=np.uint8)
    image = image_array(cv2.imencode(".png", pixels)[1].tobytes())
    response = call("person_segmentation", {"image": image})
    assert len(response["boxes"]) == len(response["scores"]) == len(response["rles"])
    assert call("people_foreground", {"image": image})["foreground"].shape == (height, width)


def test_good_requests_beside_bad_ones_are_answered_as_if_alone(server: EmbeddedServer) -> None:
    alone = over_grpc(server.grpc_url, "people_foreground", {"image": image_array(GOOD)})

    def send(image: bytes) -> Arrays | Refused:
        try:
            return over_grpc(server.grpc_url, "people_foreground", {"image": image_array(image)})
        except Refused as refused:
            return refused

    bad = BAD_IMAGES["truncated"][0]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(send, [GOOD, bad] * 8))
    for good, refused in zip(responses[::2], responses[1::2], strict=True):
        assert isinstance(good, dict)
        np.testing.assert_array_equal(good["foreground"], alone["foreground"])
        assert isinstance(refused, Refused)
        assert "preprocess" in refused.message
