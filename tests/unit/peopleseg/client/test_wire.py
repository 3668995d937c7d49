"""Requests as they leave, and answers as they are read."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from peopleseg.client import wire
from peopleseg.client.errors import InvalidImage, RequestRejected, ServerError
from peopleseg.pixels.images import decode_image
from peopleseg.systems.known import ENSEMBLES
from tests.data.people_images import people_image

IMAGE = np.zeros((4, 6, 3), dtype=np.uint8)


class Result:
    """An InferResult of given tensors."""

    def __init__(self, **tensors: Any) -> None:
        self.tensors = tensors

    def as_numpy(self, name: str) -> Any:
        return self.tensors.get(name)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (33, 50), (240, 320)])
def test_an_array_arrives_as_it_was(size_hw: tuple[int, int]) -> None:
    image = people_image(1, size_hw=(240, 320)).image_rgb[: size_hw[0], : size_hw[1]]
    np.testing.assert_array_equal(decode_image(wire.image_bytes(image)), image)


def test_a_view_that_is_not_contiguous_arrives_as_it_was() -> None:
    image = people_image(1).image_rgb[::-2, ::3, ::-1]
    np.testing.assert_array_equal(decode_image(wire.image_bytes(image)), image)


def test_bytes_and_paths_travel_as_they_are(tmp_path: Path) -> None:
    data = b"\x00any bytes\x00\x00"
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    assert wire.image_bytes(data) == wire.image_bytes(path) == wire.image_bytes(str(path)) == data
    (tensor,) = wire.segment_request(data).inputs
    assert tensor._get_content() == len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (IMAGE.astype(np.float32), r"\(4, 6, 3\) and dtype float32.*expected \(H, W, 3\) uint8"),
        (IMAGE[..., 0], r"\(4, 6\)"),
        (np.zeros((4, 6, 4), dtype=np.uint8), r"\(4, 6, 4\)"),
        (IMAGE[:0], "empty"),
        ([[1, 2, 3]], "list.*expected a path"),
        ("/no/such/image.jpg", "cannot read /no/such/image.jpg: No such file"),
    ],
)
def test_anything_else_is_an_invalid_image(image: Any, words: str) -> None:
    with pytest.raises(InvalidImage, match=words):
        wire.image_bytes(image)


@pytest.mark.parametrize(
    "request_",
    [
        wire.segment_request(IMAGE),
        wire.segment_from_boxes_request(IMAGE, [[0, 0, 3, 4], [1, 1, 2, 2]]),
        wire.segment_from_boxes_request(IMAGE, []),
        wire.foreground_request(IMAGE),
    ],
)
def test_requests_follow_the_contract(request_: wire.Request) -> None:
    model = ENSEMBLES[request_.model_name].model
    assert [i.name() for i in request_.inputs] == [tensor.name for tensor in model.inputs]
    assert [o.name() for o in request_.outputs] == [tensor.name for tensor in model.outputs]
    for sent, tensor in zip(request_.inputs, model.inputs, strict=True):
        assert sent.datatype() == tensor.dtype
        assert len(sent.shape()) == len(tensor.shape)
        for length, expected in zip(sent.shape(), tensor.shape, strict=True):
            assert expected in (-1, length)


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]], [["a"] * 4], None])
def test_boxes_of_another_shape_are_rejected(boxes: Any) -> None:
    with pytest.raises(RequestRejected, match="boxes_xyxy"):
        wire.segment_from_boxes_request(IMAGE, boxes)


@pytest.mark.parametrize(
    "texts", [[b"left"], ["left", None], None, 7, ["\ud800 left"], "caf\udce9"]
)
def test_texts_that_are_none_are_rejected(texts: Any) -> None:
    with pytest.raises(RequestRejected, match="texts is .*, expected a text or several"):
        wire.find_request(IMAGE, texts)


@pytest.mark.parametrize("points", [[[1, 2, 3, 4]], [1, 2], [["a", "b"]], [[[1, 2]]], None])
def test_points_of_another_shape_are_rejected(points: Any) -> None:
    with pytest.raises(RequestRejected, match="points "):
        wire.find_at_request(IMAGE, points)


def test_people_are_read_in_order() -> None:
    rle = {"size": [2, 2], "counts": "04"}
    people = wire.people_of(
        Result(
            boxes=np.array([[0, 0, 2, 2], [0.5, 0, 1, 2]], dtype=np.float32),
            scores=np.array([0.75, 0.5], dtype=np.float32),
            masks=np.stack([np.full((128, 96), v, dtype=np.uint8) for v in (255, 7)]),
            rles=np.array([b'{"size": [2, 2], "counts": "04"}'] * 2, dtype=np.object_),
        )
    )
    assert [person.box_xyxy for person in people] == [(0, 0, 2, 2), (0.5, 0, 1, 2)]
    assert [person.score for person in people] == [0.75, 0.5]
    assert [person.mask[0, 0] for person in people] == [255, 7]
    assert people[0].rle == rle
    assert people[0].image_mask.dtype == np.bool_
    assert people[0].image_mask.tolist() == [[True, True], [True, True]]


def test_nobody_is_an_empty_list() -> None:
    none = Result(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        masks=np.zeros((0, 128, 96), np.uint8),
        rles=np.zeros(0, np.object_),
    )
    assert wire.people_of(none) == []


def test_a_broken_answer_is_the_servers_error() -> None:
    with pytest.raises(ServerError, match="'boxes'"):
        wire.people_of(Result())
    broken = Result(boxes=np.zeros((2, 4)), scores=np.zeros(1), masks=np.zeros(2), rles=np.zeros(2))
    with pytest.raises(ServerError, match="2, 1, 2, 2"):
        wire.people_of(broken)


@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("palette_png", [False, True])
def test_of_classes_only_what_is_asked_for_travels(confidence: bool, palette_png: bool) -> None:
    request = wire.classify_request(IMAGE, confidence=confidence, palette_png=palette_png)
    assert request.model_name == "semantic_segmentation"
    asked = [*["confidence"] * confidence, *["palette_png"] * palette_png]
    assert [output.name() for output in request.outputs] == ["classes", "areas", "names", *asked]


def test_classes_are_read_with_their_names() -> None:
    tensors = {
        "classes": np.array([[0, 1]], np.uint8),
        "areas": np.array([0.5, 0.5], np.float32),
        "names": np.array([b"background", b"cat"], np.object_),
    }
    found = wire.classified_of(Result(**tensors))
    assert found.names == ("background", "cat") and found.areas == {"background": 0.5, "cat": 0.5}
    assert found.confidence is None and found.palette_png is None
    sure = np.array([[9, 8]], np.uint8)
    png = np.array([b"PNG"], np.object_)
    found = wire.classified_of(Result(**tensors, confidence=sure, palette_png=png))
    assert found.confidence is sure and found.palette_png == b"PNG"
    with pytest.raises(FrozenInstanceError):
        found.names = ()  # type: ignore[misc]
    with pytest.raises(ServerError, match="'areas'"):
        wire.classified_of(Result(classes=tensors["classes"], names=tensors["names"]))


def test_an_address_with_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="host:port"):
        wire.grpc_address("http://localhost:8001")


def test_bmp_is_what_an_array_becomes() -> None:
    assert (
        cv2.imdecode(np.frombuffer(wire.image_bytes(IMAGE), np.uint8), cv2.IMREAD_COLOR) is not None
    )
    assert wire.image_bytes(IMAGE)[:2] == b"BM"
