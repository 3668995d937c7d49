"""Both clients against a server within the test."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from peopleseg import (
    AsyncSegmentationClient,
    InvalidImage,
    Overloaded,
    RequestRejected,
    SegmentationClient,
    SegmentationError,
    ServerError,
    ServerUnavailable,
)
from tests.data.fake_triton import FakeTriton, Refusal, one_person
from tests.data.people_images import people_image

IMAGE = people_image(3).image_rgb


@pytest.fixture
def fake() -> Iterator[FakeTriton]:
    with FakeTriton(one_person) as running:
        yield running


def test_segment_finds_people(fake: FakeTriton) -> None:
    with SegmentationClient(fake.grpc_url) as client:
        (person,) = client.segment(IMAGE)
    height, width = IMAGE.shape[:2]
    assert person.box_xyxy == (0, 0, width // 2, height)
    assert person.score == 0.875
    assert person.mask.shape == (128, 96) and person.mask.dtype == np.uint8
    assert person.image_mask.shape == (height, width)
    assert person.image_mask[:, : width // 2].all()
    assert not person.image_mask[:, width // 2 :].any()


def test_from_boxes_keeps_the_order(fake: FakeTriton) -> None:
    boxes = np.array([[50, 60, 90, 100], [0, 0, 10, 20], [50, 60, 90, 100]])
    with SegmentationClient(fake.grpc_url) as client:
        people = client.segment_from_boxes(IMAGE, boxes)
        assert client.segment_from_boxes(IMAGE, []) == []
    np.testing.assert_array_equal([person.box_xyxy for person in people], boxes)


def test_foreground_has_the_size_of_the_image(fake: FakeTriton) -> None:
    with SegmentationClient(fake.grpc_url) as client:
        foreground = client.foreground(IMAGE)
    assert foreground.shape == IMAGE.shape[:2] and foreground.dtype == np.uint8


def test_an_image_larger_than_grpcs_default_limit_passes(fake: FakeTriton) -> None:
    large = np.zeros((1500, 1500, 3), dtype=np.uint8)  # 6.75 MB as BMP; the default is 4 MB
    with SegmentationClient(fake.grpc_url) as client:
        assert len(client.segment(large)) == 1


def test_the_async_client_gives_the_same_responses(fake: FakeTriton) -> None:
    boxes = [[50, 60, 90, 100]]

    async def ask() -> tuple[Any, ...]:
        async with AsyncSegmentationClient(fake.grpc_url) as client:
            await client.wait_until_ready(5)
            return await asyncio.gather(
                client.segment(IMAGE),
                client.segment_from_boxes(IMAGE, boxes),
                client.foreground(IMAGE),
                client.is_ready(),
            )

    people, from_boxes, foreground, ready = asyncio.run(ask())
    with SegmentationClient(fake.grpc_url) as client:
        assert people[0].rle == client.segment(IMAGE)[0].rle
        assert from_boxes[0].rle == client.segment_from_boxes(IMAGE, boxes)[0].rle
        np.testing.assert_array_equal(foreground, client.foreground(IMAGE))
    assert ready


def test_threads_share_a_client(fake: FakeTriton) -> None:
    with SegmentationClient(fake.grpc_url) as client, ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(client.segment, [IMAGE[:, :width] for width in range(10, 50)]))
    assert [people[0].box_xyxy[2] for people in responses] == [w // 2 for w in range(10, 50)]


def failures(url: str, **options: Any) -> list[Callable[[], Any]]:
    """The same call of both clients."""

    def sync() -> Any:
        with SegmentationClient(url, **options) as client:
            return client.segment(b"not an image")

    async def ask() -> Any:
        async with AsyncSegmentationClient(url, **options) as client:
            return await client.segment(b"not an image")

    return [sync, lambda: asyncio.run(ask())]


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("INVALID_ARGUMENT", "in ensemble 'e', preprocess: image has 0 bytes", InvalidImage),
        ("INVALID_ARGUMENT", "boxes_to_rois: boxes has 65 rows, limit of 64", RequestRejected),
        ("UNAVAILABLE", "in ensemble 'e', Request timeout expired", Overloaded),
        ("UNAVAILABLE", "Exceeds maximum queue size", Overloaded),
        ("UNAVAILABLE", "Request for unknown model: no available versions", ServerUnavailable),
        ("NOT_FOUND", "Request for unknown model: 'e' is not found", ServerUnavailable),
        ("INTERNAL", "yolov9: unexpected RuntimeError", ServerError),
        ("UNKNOWN", "what", ServerError),
    ],
)
def test_errors_are_told_apart_and_keep_the_servers_words(
    code: str, message: str, expected: type[SegmentationError]
) -> None:
    def refuse(model_name: str, inputs: Any) -> Any:
        raise Refusal(grpc.StatusCode[code], message)

    with FakeTriton(refuse) as fake:
        for call in failures(fake.grpc_url):
            with pytest.raises(SegmentationError) as raised:
                call()
            assert type(raised.value) is expected
            assert message in str(raised.value)


def test_no_answer_in_time_is_unavailable() -> None:
    leave = threading.Event()

    def hang(model_name: str, inputs: Any) -> Any:
        leave.wait(10)
        raise Refusal(grpc.StatusCode.CANCELLED, "too late")

    with FakeTriton(hang) as fake:
        for call in failures(fake.grpc_url, timeout_s=0.2):
            with pytest.raises(ServerUnavailable, match=r"no response .* within 0\.2 s"):
                call()
        leave.set()


def test_nobody_at_the_address_is_unavailable() -> None:
    with FakeTriton(one_person) as fake:
        url = fake.grpc_url
    for call in failures(url, timeout_s=5.0):
        with pytest.raises(ServerUnavailable, match=f"{url}.*start one with `peopleseg serve`"):
            call()
    with SegmentationClient(url) as client:
        assert not client.is_ready()
        start = time.monotonic()
        with pytest.raises(ServerUnavailable, match=r"after 0\.3 s; start one with `peopl"):
            client.wait_until_ready(0.3)
        assert time.monotonic() - start < 5


def test_waiting_ends_when_the_model_is_ready(fake: FakeTriton) -> None:
    fake.ready = False
    with SegmentationClient(fake.grpc_url) as client:
        assert not client.is_ready()
        timer = threading.Timer(0.3, setattr, (fake, "ready", True))
        timer.start()
        client.wait_until_ready(10)
        assert client.is_ready()
        timer.join()


def test_an_async_client_waits_in_vain_for_nobody() -> None:
    with FakeTriton(one_person) as fake:
        url = fake.grpc_url

    async def wait() -> None:
        async with AsyncSegmentationClient(url) as client:
            await client.wait_until_ready(0.3)

    with pytest.raises(ServerUnavailable, match="is ready at .* start one with `peopl"):
        asyncio.run(wait())


def test_a_server_without_the_ensemble_is_told_from_none(fake: FakeTriton) -> None:
    fake.ready = False
    told = f"{fake.grpc_url} answers, but has no other after 0.3 s; release the networks"

    async def wait() -> None:
        async with AsyncSegmentationClient(fake.grpc_url) as client:
            assert not await client.is_ready("other")
            await client.wait_until_ready(0.3, "other")

    with SegmentationClient(fake.grpc_url) as client:
        with pytest.raises(ServerUnavailable, match=told):
            client.wait_until_ready(0.3, "other")
    with pytest.raises(ServerUnavailable, match=told):
        asyncio.run(wait())
