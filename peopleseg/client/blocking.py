"""The synchronous client.

with SegmentationClient("localhost:8001", timeout_s=5.0) as client:
    people = client.segment("photo.jpg")
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from peopleseg.client import wire
from peopleseg.client.errors import not_ready, translated
from peopleseg.repository.tensors import Model
from peopleseg.systems.people.contract import PERSON_SEGMENTATION
from peopleseg.systems.people.person import Person
from peopleseg.systems.referring.found import Found
from peopleseg.systems.semantic.classified import Classified
from peopleseg.systems.step import Arrays


class SegmentationClient:
    """One connection to a server. Threads may share it; a process made by fork may not.

    image, in every method: a path; the bytes of an encoded JPEG, PNG, WebP or BMP, sent as they
    are; or an (H, W, 3) uint8 RGB array, sent as a BMP, which loses nothing. The response is in
    pixels of the image as its EXIF orientation turns it.

    Every method that asks for a response raises ServerUnavailable, Overloaded, RequestRejected
    (InvalidImage where the image is at fault) or ServerError, all of them SegmentationError.
    """

    def __init__(
        self, url: str = wire.DEFAULT_URL, *, timeout_s: float = wire.DEFAULT_TIMEOUT_S
    ) -> None:
        """url: host:port of the server's gRPC port. timeout_s: of each request, end to end."""
        self.url = wire.grpc_address(url)
        self.timeout_s = timeout_s
        self._server = InferenceServerClient(url, channel_args=wire.CHANNEL_ARGS)

    def segment(self, image: wire.Image, *, min_score: float | None = None) -> list[Person]:
        """Everybody in the image, best score first; empty when there is nobody.

        min_score: the lowest score in the response, 0.001 to 1; the server masks nobody below it.
        None: the server's own.
        """
        return wire.people_of(self._infer(wire.segment_request(image, min_score)))

    def segment_from_boxes(self, image: wire.Image, boxes_xyxy: ArrayLike) -> list[Person]:
        """One person a box of your own, in their order, without looking for others.

        boxes_xyxy: (K, 4) numbers x1, y1, x2, y2 in image pixels, K at most 64. A box may reach
        over the image's edge: it comes back as it was sent, and its mask lies over all of it.
        Raises RequestRejected for a box that is empty or wholly outside.
        """
        return wire.people_of(self._infer(wire.segment_from_boxes_request(image, boxes_xyxy)))

    def foreground(self, image: wire.Image) -> NDArray[np.uint8]:
        """(H, W) probability x 255 that a pixel of the image shows any person. Read-only."""
        return wire.foreground_of(self._infer(wire.foreground_request(image)))

    def classify(
        self, image: wire.Image, *, confidence: bool = False, palette_png: bool = False
    ) -> Classified:
        """The class of every pixel of the image, by the semantic system.

        confidence, palette_png: whether the server is to send these, too; otherwise it makes none.
        """
        request = wire.classify_request(image, confidence=confidence, palette_png=palette_png)
        return wire.classified_of(self._infer(request))

    def find(self, image: wire.Image, texts: str | Sequence[str]) -> list[Found]:
        """Whom each text means, by the referring system: one for each text, in their order.

        texts: one, or at most 64, such as "the person in the red coat on the left".
        """
        return wire.found_of(self._infer(wire.find_request(image, texts)))

    def find_at(self, image: wire.Image, points: ArrayLike) -> list[Found]:
        """Who is at each prompt's points, by the referring system: one for each, in their order.

        points: (P, 2) x, y of a click a prompt; or (P, K, 3) x, y and label of K points, 1 on the
        person, 0 not on the person, -1 for no point. In image pixels; P is at most 64, K 256.
        """
        return wire.found_of(self._infer(wire.find_at_request(image, points)))

    def call(self, ensemble: Model, inputs: Arrays) -> Arrays:
        """Any ensemble, by its input tensors by name, to its output tensors by name."""
        result = self._infer(wire.request_of(ensemble, inputs))
        return wire.tensors_of(result, ensemble)

    def is_ready(self, ensemble: str = PERSON_SEGMENTATION.name) -> bool:
        """Whether the server answers and has an ensemble; False when it cannot be reached."""
        return bool(self._answers(ensemble, self.timeout_s))

    def wait_until_ready(self, timeout_s: float, ensemble: str = PERSON_SEGMENTATION.name) -> None:
        """Return as soon as `is_ready`. Raises ServerUnavailable after timeout_s seconds."""
        deadline = time.monotonic() + timeout_s
        while not (
            ready := self._answers(ensemble, wire.time_for_one_poll(deadline, self.timeout_s))
        ):
            if time.monotonic() >= deadline:
                raise not_ready(self.url, ensemble, timeout_s, answers=ready is not None)
            time.sleep(wire.POLL_S)

    def close(self) -> None:
        """Close the connection; no request can follow."""
        self._server.close()

    def __enter__(self) -> "SegmentationClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _infer(self, request: wire.Request) -> Any:
        try:
            return self._server.infer(**request._asdict(), client_timeout=self.timeout_s)
        except InferenceServerException as error:
            raise translated(error, url=self.url, timeout_s=self.timeout_s) from error

    def _answers(self, ensemble: str, timeout_s: float) -> bool | None:
        """Whether the server says that it has an ensemble; None where it does not answer."""
        try:
            ready = self._server.is_model_ready(ensemble, client_timeout=timeout_s)
        except InferenceServerException:
            return None
        return bool(ready)
