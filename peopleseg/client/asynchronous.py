"""The asyncio client.

async with AsyncSegmentationClient("localhost:8001") as client:
    found = await asyncio.gather(*(client.segment(path) for path in paths))
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from peopleseg.client import wire
from peopleseg.client.errors import not_ready, translated
from peopleseg.repository.tensors import Model
from peopleseg.systems.people.contract import PERSON_SEGMENTATION
from peopleseg.systems.people.person import Person
from peopleseg.systems.referring.found import Found
from peopleseg.systems.semantic.classified import Classified
from peopleseg.systems.step import Arrays


class AsyncSegmentationClient:
    """SegmentationClient with the same methods to await: same images, responses and errors.

    Create and use it within one event loop, in one thread; any number of requests may be under way.
    """

    def __init__(
        self, url: str = wire.DEFAULT_URL, *, timeout_s: float = wire.DEFAULT_TIMEOUT_S
    ) -> None:
        """url: host:port of the server's gRPC port. timeout_s: of each request, end to end."""
        self.url = wire.grpc_address(url)
        self.timeout_s = timeout_s
        self._server = InferenceServerClient(url, channel_args=wire.CHANNEL_ARGS)

    async def segment(self, image: wire.Image, *, min_score: float | None = None) -> list[Person]:
        """Everybody in the image of at least min_score, best first; empty when there is nobody."""
        return wire.people_of(await self._infer(wire.segment_request(image, min_score)))

    async def segment_from_boxes(self, image: wire.Image, boxes_xyxy: ArrayLike) -> list[Person]:
        """One person a box, in their order; boxes_xyxy: (K, 4) image pixels, K at most 64."""
        return wire.people_of(await self._infer(wire.segment_from_boxes_request(image, boxes_xyxy)))

    async def foreground(self, image: wire.Image) -> NDArray[np.uint8]:
        """(H, W) probability x 255 that a pixel of the image shows any person. Read-only."""
        return wire.foreground_of(await self._infer(wire.foreground_request(image)))

    async def classify(
        self, image: wire.Image, *, confidence: bool = False, palette_png: bool = False
    ) -> Classified:
        """The class of every pixel of the image; confidence and palette_png where asked for."""
        request = wire.classify_request(image, confidence=confidence, palette_png=palette_png)
        return wire.classified_of(await self._infer(request))

    async def find(self, image: wire.Image, texts: str | Sequence[str]) -> list[Found]:
        """Whom each text means, one for each, in their order."""
        return wire.found_of(await self._infer(wire.find_request(image, texts)))

    async def find_at(self, image: wire.Image, points: ArrayLike) -> list[Found]:
        """Who is at each prompt's points: (P, 2) clicks, or (P, K, 3) with labels 1, 0 and -1."""
        return wire.found_of(await self._infer(wire.find_at_request(image, points)))

    async def call(self, ensemble: Model, inputs: Arrays) -> Arrays:
        """Any ensemble, by its input tensors by name, to its output tensors by name."""
        result = await self._infer(wire.request_of(ensemble, inputs))
        return wire.tensors_of(result, ensemble)

    async def is_ready(self, ensemble: str = PERSON_SEGMENTATION.name) -> bool:
        """Whether the server answers and has an ensemble; False when it cannot be reached."""
        return bool(await self._answers(ensemble, self.timeout_s))

    async def wait_until_ready(
        self, timeout_s: float, ensemble: str = PERSON_SEGMENTATION.name
    ) -> None:
        """Return as soon as `is_ready`. Raises ServerUnavailable after timeout_s seconds."""
        deadline = time.monotonic() + timeout_s
        while not (
            ready := await self._answers(ensemble, wire.time_for_one_poll(deadline, self.timeout_s))
        ):
            if time.monotonic() >= deadline:
                raise not_ready(self.url, ensemble, timeout_s, answers=ready is not None)
            await asyncio.sleep(wire.POLL_S)

    async def close(self) -> None:
        """Close the connection; no request can follow."""
        await self._server.close()

    async def __aenter__(self) -> "AsyncSegmentationClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _infer(self, request: wire.Request) -> Any:
        try:
            return await self._server.infer(**request._asdict(), client_timeout=self.timeout_s)
        except InferenceServerException as error:
            raise translated(error, url=self.url, timeout_s=self.timeout_s) from error

    async def _answers(self, ensemble: str, timeout_s: float) -> bool | None:
        """Whether the server says that it has an ensemble; None where it does not answer."""
        try:
            ready = await self._server.is_model_ready(ensemble, client_timeout=timeout_s)
        except InferenceServerException:
            return None
        return bool(ready)
