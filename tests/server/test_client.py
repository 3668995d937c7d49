"""The clients against the real server and its models."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from peopleseg import (
    AsyncSegmentationClient,
    InvalidImage,
    Person,
    RequestRejected,
    SegmentationClient,
)
from peopleseg.client.wire import image_bytes, segment_request
from peopleseg.pixels.masks import paste_mask
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.systems.people.agreement import smallest_score
from peopleseg.systems.people.contract import MASK_SIZE_HW, MAX_PEOPLE
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions
from tests.data.people_images import write_image

pytestmark = pytest.mark.server

IMAGE = astronaut()  # (512, 512, 3) RGB
WOMAN = (60.0, 0.0, 450.0, 512.0)  # the astronaut's box, xyxy, by hand


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[SegmentationClient]:
    with SegmentationClient(server.grpc_url) as connected:
        yield connected


@pytest.fixture(scope="module")
def people(client: SegmentationClient) -> list[Person]:
    return client.segment(IMAGE)


def own_min_score() -> float:
    """The server's, of a request that says none."""
    return smallest_score(
        {
            name: MODEL_REPOSITORY / name / str(version)
            for name, version in serving_versions(MODEL_REPOSITORY, PEOPLE).items()
        }
    )


def same(first: list[Person], second: list[Person]) -> bool:
    """Equal but for what a batch of another size may do to the last bit."""
    if len(first) != len(second):
        return False
    return all(
        np.allclose(a.box_xyxy, b.box_xyxy, atol=0.1)
        and abs(a.score - b.score) < 1e-3
        and np.abs(a.mask.astype(int) - b.mask.astype(int)).max() <= 2
        for a, b in zip(first, second, strict=True)
    )


def test_the_server_is_ready(client: SegmentationClient) -> None:
    client.wait_until_ready(5)
    assert client.is_ready()


def test_somebody_is_found(people: list[Person]) -> None:
    assert 1 <= len(people) <= MAX_PEOPLE
    scores = [person.score for person in people]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_a_request_says_how_certain_people_must_be(
    client: SegmentationClient, people: list[Person]
) -> None:
    assert same(client.segment(IMAGE, min_score=own_min_score()), people)
    many = client.segment(IMAGE, min_score=0.001)
    assert len(many) > len(people) and same(many[: len(people)], people)
    middle = many[len(many) // 2].score
    sure = client.segment(IMAGE, min_score=middle)
    assert {person.score >= middle for person in sure} == {True} and len(sure) < len(many)
    assert client.segment(IMAGE, min_score=1.0) == []


def test_a_min_score_costs_no_request_beside_it(server: Any, people: list[Person]) -> None:
    async def ask() -> list[list[Person]]:
        async with AsyncSegmentationClient(server.grpc_url) as client:
            scores = (None, 1.0, None, own_min_score())
            asked = (client.segment(IMAGE, min_score=score) for score in scores)
            return await asyncio.gather(*asked)

    own, nobody, again, same_as_own = asyncio.run(ask())
    assert nobody == [] and all(same(found, people) for found in (own, again, same_as_own))


@pytest.mark.parametrize("value", [0, -0.1, 1.5, float("nan"), "high", True])
def test_an_unfit_min_score_is_refused_here_and_there(server: Any, value: Any) -> None:
    message = "min_score is .*; expected a number from 0.001 to 1"
    with pytest.raises(RequestRejected, match=message), SegmentationClient(server.grpc_url) as ours:
        ours.segment(IMAGE, min_score=value)
    parameters: Any = {"min_score": value, "other": "ignored"}
    request = segment_request(IMAGE)._replace(parameters=parameters)
    with (
        InferenceServerClient(server.grpc_url) as theirs,
        pytest.raises(InferenceServerException, match=f"select_people: {message}"),
    ):
        theirs.infer(**request._asdict())


def test_masks_lie_inside_boxes_and_boxes_inside_the_image(people: list[Person]) -> None:
    height, width = IMAGE.shape[:2]
    for person in people:
        x1, y1, x2, y2 = person.box_xyxy
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert person.mask.shape == MASK_SIZE_HW and person.mask.dtype == np.uint8
        mask = person.image_mask
        assert mask.shape == (height, width)
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert x1 <= columns.min() + 0.5 and columns.max() + 0.5 <= x2
            assert y1 <= rows.min() + 0.5 and rows.max() + 0.5 <= y2


def test_the_mask_over_the_box_is_the_mask_in_the_image(people: list[Person]) -> None:
    x1, y1, x2, y2 = people[0].box_xyxy
    share = people[0].image_mask.sum() / ((x2 - x1) * (y2 - y1))
    assert share == pytest.approx((people[0].mask > 127).mean(), abs=0.03)


def test_path_bytes_and_array_give_one_response(
    client: SegmentationClient, people: list[Person], tmp_path: Path
) -> None:
    path = tmp_path / "astronaut.png"
    write_image(path, IMAGE)
    assert same(client.segment(path), people)
    assert same(client.segment(str(path)), people)
    assert same(client.segment(path.read_bytes()), people)
    assert same(client.segment(image_bytes(IMAGE)), people)


def test_asyncio_gives_the_same_responses(server: Any, people: list[Person]) -> None:
    async def ask() -> tuple[list[Person], list[Person], list[Person], NDArray[np.uint8]]:
        async with AsyncSegmentationClient(server.grpc_url) as client:
            await client.wait_until_ready(5)
            return await asyncio.gather(
                client.segment(IMAGE),
                client.segment(IMAGE),
                client.segment_from_boxes(IMAGE, [WOMAN]),
                client.foreground(IMAGE),
            )

    first, second, from_boxes, foreground = asyncio.run(ask())
    assert same(first, people) and same(second, people)
    assert len(from_boxes) == 1
    assert foreground.shape == IMAGE.shape[:2]


def test_from_boxes_keeps_the_order(client: SegmentationClient) -> None:
    boxes = np.array([[300, 100, 500, 500], WOMAN, [10, 20, 110, 300], WOMAN], dtype=np.float32)
    responses = client.segment_from_boxes(IMAGE, boxes)
    np.testing.assert_allclose([person.box_xyxy for person in responses], boxes, atol=0.1)
    assert [person.score for person in responses] == [1] * 4
    assert same([responses[1]], [responses[3]])
    backwards = client.segment_from_boxes(IMAGE, boxes[::-1])
    assert same(backwards[::-1], responses)


def test_a_box_over_the_edge_comes_back_as_it_was_sent(client: SegmentationClient) -> None:
    box = (-50.0, -20.0, 600.0, 512.5)
    (person,) = client.segment_from_boxes(IMAGE, [box])
    assert person.box_xyxy == box
    assert person.image_mask.shape == IMAGE.shape[:2]
    # The mask lies over the box as sent: what of it is in the image is the mask in the image.
    pasted = paste_mask(person.mask, np.array(box), IMAGE.shape[:2])
    assert ((pasted > 0) != person.image_mask).mean() < 0.001


def test_no_boxes_is_nobody(client: SegmentationClient) -> None:
    assert client.segment_from_boxes(IMAGE, []) == []
    assert client.segment_from_boxes(IMAGE, np.zeros((0, 4), dtype=np.float32)) == []


def test_as_many_boxes_as_the_limit_pass_and_one_more_is_rejected(
    client: SegmentationClient,
) -> None:
    boxes = [(x, 10.0, x + 60.0, 200.0) for x in range(MAX_PEOPLE + 1)]
    assert len(client.segment_from_boxes(IMAGE, boxes[:MAX_PEOPLE])) == MAX_PEOPLE
    with pytest.raises(RequestRejected, match=rf"boxes_to_rois.*limit of {MAX_PEOPLE}"):
        client.segment_from_boxes(IMAGE, boxes)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((10, 10, 5, 20), "reversed"),
        ((10, 10, 10, 20), "empty"),
        ((600, 10, 700, 20), "outside"),
        ((np.nan, 10, 30, 20), "not finite"),
    ],
)
def test_an_impossible_box_is_rejected_with_its_row(
    client: SegmentationClient, box: tuple[float, ...], words: str
) -> None:
    with pytest.raises(RequestRejected, match=rf"boxes\[1\].*{words}"):
        client.segment_from_boxes(IMAGE, [WOMAN, box])


@pytest.mark.parametrize("data", [b"", b"no image", image_bytes(IMAGE)[:5000]])
def test_a_bad_image_is_rejected_by_every_ensemble(client: SegmentationClient, data: bytes) -> None:
    for ask in (
        lambda: client.segment(data),
        lambda: client.segment_from_boxes(data, [WOMAN]),
        lambda: client.foreground(data),
    ):
        with pytest.raises(InvalidImage, match="preprocess: image"):
            ask()
    assert client.is_ready()


@pytest.mark.parametrize("size_hw", [(512, 512), (300, 500), (37, 211), (1, 1), (1, 400)])
def test_foreground_has_the_shape_of_the_image(
    client: SegmentationClient, size_hw: tuple[int, int]
) -> None:
    height, width = size_hw
    foreground = client.foreground(IMAGE[:height, :width])
    assert foreground.shape == size_hw and foreground.dtype == np.uint8


def test_an_image_above_grpcs_default_limit_passes(client: SegmentationClient) -> None:
    large = np.tile(IMAGE, (4, 4, 1))  # 12.6 MB as BMP
    foreground = client.foreground(large)
    assert foreground.shape == large.shape[:2]
    for person in client.segment(large):
        assert person.image_mask.shape == large.shape[:2]


def test_a_blank_image_is_answered(client: SegmentationClient) -> None:
    people = client.segment(np.full((480, 640, 3), 128, dtype=np.uint8))
    assert len(people) <= 5
