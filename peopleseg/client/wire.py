"""What travels between a client and the server: pure functions, shared by both clients.

A request is built by `segment_request`, `segment_from_boxes_request`, `foreground_request`,
`classify_request`, `find_request` or `find_at_request`; its result is read by `people_of`,
`foreground_of`, `classified_of` or `found_of`.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput

from peopleseg.client.errors import InvalidImage, RequestRejected, ServerError
from peopleseg.errors import InvalidInput
from peopleseg.repository.tensors import Model, Tensor, bytes_tensor
from peopleseg.systems.people.contract import (
    BOXES,
    FOREGROUND,
    MIN_SCORE_PARAMETER,
    PEOPLE_FOREGROUND,
    PERSON_SEGMENTATION,
    PERSON_SEGMENTATION_FROM_BOXES,
)
from peopleseg.systems.people.person import Person, people_in, persons
from peopleseg.systems.people.selection import requested_min_score
from peopleseg.systems.referring.contract import (
    ON,
    POINTS,
    REFERRING_PERSON,
    REFERRING_PERSON_FROM_POINTS,
    TEXT,
)
from peopleseg.systems.referring.found import Found, found_in
from peopleseg.systems.semantic.classified import Classified, classified
from peopleseg.systems.semantic.contract import (
    AREAS,
    CLASSES,
    CONFIDENCE,
    NAMES,
    PALETTE_PNG,
    SEMANTIC_SEGMENTATION,
)
from peopleseg.systems.shared.contract import IMAGE

DEFAULT_URL = "localhost:8001"  # Triton's gRPC port
DEFAULT_TIMEOUT_S = 60.0
POLL_S = 0.2  # between two requests whether the server is ready

CHANNEL_ARGS = [
    # gRPC's default of 4 MB is less than one photo; -1 leaves only protobuf's 2 GiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC's default grows to two minutes, long after a starting server is ready.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

Image = str | Path | bytes | NDArray[np.uint8]


class Request(NamedTuple):
    """One call of an ensemble."""

    model_name: str
    inputs: list[InferInput]
    outputs: list[InferRequestedOutput]
    parameters: dict[str, float]


def segment_request(image: Image, min_score: float | None = None) -> Request:
    """Everybody in an image. Raises InvalidImage, and RequestRejected for an unfit min_score."""
    parameters = {}
    if min_score is not None:
        try:
            parameters[MIN_SCORE_PARAMETER] = requested_min_score(min_score)
        except InvalidInput as error:
            raise RequestRejected(str(error)) from error
    return _request(PERSON_SEGMENTATION, [_image_input(image)], parameters)


def segment_from_boxes_request(image: Image, boxes_xyxy: ArrayLike) -> Request:
    """One person a box; boxes_xyxy: (K, 4) image pixels. Raises InvalidImage, RequestRejected."""
    try:
        boxes = np.asarray(boxes_xyxy, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RequestRejected(f"boxes_xyxy is no array of numbers ({error})") from error
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise RequestRejected(
            f"boxes_xyxy has shape {boxes.shape}; expected (K, 4): x1, y1, x2, y2 in image pixels"
        )
    inputs = [_image_input(image), _input(BOXES, boxes)]
    return _request(PERSON_SEGMENTATION_FROM_BOXES, inputs)


def foreground_request(image: Image) -> Request:
    """Where the people of an image are, together. Raises InvalidImage."""
    return _request(PEOPLE_FOREGROUND, [_image_input(image)])


def classify_request(image: Image, *, confidence: bool, palette_png: bool) -> Request:
    """The class of every pixel, and what else is asked for. Raises InvalidImage."""
    asked = ((CONFIDENCE, confidence), (PALETTE_PNG, palette_png))
    outputs = [CLASSES, AREAS, NAMES, *(tensor for tensor, wanted in asked if wanted)]
    return _request(SEMANTIC_SEGMENTATION, [_image_input(image)], outputs=outputs)


def find_request(image: Image, texts: str | Sequence[str]) -> Request:
    """Whom each text means. Raises InvalidImage, RequestRejected."""
    said = [texts] if isinstance(texts, str) else texts
    try:
        values = np.array([text.encode() for text in said], np.object_)
    except (AttributeError, TypeError, UnicodeEncodeError) as error:
        raise RequestRejected(
            f"texts is {texts!r:.60}, expected a text or several, of characters ({error})"
        ) from error
    return _request(REFERRING_PERSON, [_image_input(image), _input(TEXT, values)])


def find_at_request(image: Image, points: ArrayLike) -> Request:
    """Who is at each prompt's points, as `SegmentationClient.find_at` takes them.

    Raises InvalidImage, RequestRejected.
    """
    try:
        values = np.asarray(points, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RequestRejected(f"points is no array of numbers ({error})") from error
    if values.ndim == 2 and values.shape[1] == 2:
        clicks = np.full((len(values), 1, 3), ON, np.float32)
        clicks[:, 0, :2] = values
        values = clicks
    if values.ndim != 3 or values.shape[2] != 3:
        raise RequestRejected(
            f"points has shape {values.shape}; expected (P, 2), one click a prompt, or (P, K, 3): "
            "x, y and label of each point"
        )
    inputs = [_image_input(image), _input(POINTS, values)]
    return _request(REFERRING_PERSON_FROM_POINTS, inputs)


def request_of(ensemble: Model, inputs: Mapping[str, NDArray[Any]]) -> Request:
    """Any ensemble, with its input tensors by name."""
    return _request(ensemble, [_input(tensor, inputs[tensor.name]) for tensor in ensemble.inputs])


def people_of(result: Any) -> list[Person]:
    """The people of an InferResult, in its order. Raises ServerError when tensors are missing."""
    tensors = tensors_of(result, PERSON_SEGMENTATION)
    lengths = [len(values) for values in tensors.values()]
    if len(set(lengths)) > 1:
        shown = ", ".join(map(str, lengths))
        raise ServerError(f"{', '.join(tensors)} differ in length: {shown}")
    return persons(people_in(tensors))


def tensors_of(result: Any, ensemble: Model) -> dict[str, NDArray[Any]]:
    """An ensemble's output tensors by name. Raises ServerError when one is missing."""
    return {tensor.name: _tensor(result, tensor) for tensor in ensemble.outputs}


def foreground_of(result: Any) -> NDArray[np.uint8]:
    """(H, W) probability x 255 that a pixel shows a person, at the size of the image sent."""
    return _tensor(result, FOREGROUND)


def classified_of(result: Any) -> Classified:
    """The classes of an InferResult. Raises ServerError when a tensor is missing."""
    always = {tensor.name: _tensor(result, tensor) for tensor in (CLASSES, AREAS, NAMES)}
    asked_for = {name: result.as_numpy(name) for name in (CONFIDENCE.name, PALETTE_PNG.name)}
    return classified(always | asked_for)


def found_of(result: Any) -> list[Found]:
    """One for each prompt of an InferResult. Raises ServerError when a tensor is missing."""
    return found_in(tensors_of(result, REFERRING_PERSON_FROM_POINTS))


def image_bytes(image: Image) -> bytes:
    """An image as the encoded file that travels.

    A path is read and bytes are taken as they are; the server reads JPEG, PNG, WebP and BMP. An
    (H, W, 3) uint8 RGB array becomes a BMP: lossless, and much faster to write and to read than a
    PNG, for more bytes on the way (encode it yourself where the network is the narrow place).

    Raises InvalidImage for a file that cannot be read and for any other array.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise InvalidImage(f"cannot read {image}: {error.strerror or error}") from error
    if not isinstance(image, np.ndarray):
        raise InvalidImage(
            f"image is a {type(image).__name__}; expected a path, the bytes of an encoded file, "
            "or an (H, W, 3) uint8 RGB array"
        )
    return _bmp(image)


def grpc_address(url: str) -> str:
    """Raises ValueError for an address with a scheme, which gRPC would fail to resolve."""
    if "://" in url:
        raise ValueError(f"url is {url!r}; expected host:port of the gRPC port, like {DEFAULT_URL}")
    return url


def time_for_one_poll(deadline: float, timeout_s: float) -> float:
    """Seconds that one request whether the server is ready may take until a monotonic deadline."""
    return max(POLL_S, min(timeout_s, deadline - time.monotonic()))


def _bmp(image_rgb: NDArray[np.uint8]) -> bytes:
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise InvalidImage(
            f"image is an array of shape {image_rgb.shape} and dtype {image_rgb.dtype}; "
            "expected (H, W, 3) uint8 RGB"
        )
    if image_rgb.size == 0:
        raise InvalidImage(f"image is an empty array of shape {image_rgb.shape}")
    _, encoded = cv2.imencode(".bmp", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _image_input(image: Image) -> InferInput:
    return _input(IMAGE, bytes_tensor(image_bytes(image)))


def _input(tensor: Tensor, values: NDArray[Any]) -> InferInput:
    return InferInput(tensor.name, values.shape, tensor.dtype).set_data_from_numpy(values)


def _request(
    ensemble: Model,
    inputs: list[InferInput],
    parameters: dict[str, float] | None = None,
    outputs: Sequence[Tensor] | None = None,
) -> Request:
    """outputs: those of the ensemble's that are to travel; None for all."""
    outputs = ensemble.outputs if outputs is None else outputs
    wanted = [InferRequestedOutput(tensor.name) for tensor in outputs]
    return Request(ensemble.name, inputs, wanted, parameters or {})


def _tensor(result: Any, tensor: Tensor) -> NDArray[Any]:
    values = result.as_numpy(tensor.name)
    if values is None:
        raise ServerError(f"the response has no tensor {tensor.name!r}")
    return values  # type: ignore[no-any-return]
