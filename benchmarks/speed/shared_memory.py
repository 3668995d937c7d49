"""The server, given its pictures through system shared memory instead of over gRPC."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, shared_memory

from benchmarks.speed.load import Calls
from benchmarks.speed.targets import Group, Server, asking
from peopleseg.client import wire
from peopleseg.repository.tensors import bytes_tensor

RELEASE_TIMEOUT_S, POLL_S = 10.0, 0.01


class SharedPicture(NamedTuple):
    """A picture's place in shared memory, which the server knows, and the request that names it."""

    region: Any
    serialized: NDArray[np.uint8]  # (bytes,) length and encoded picture, as Triton has BYTES
    request: wire.Request

    def write(self) -> None:
        shared_memory.set_shared_memory_region(self.region, [self.serialized])


class SharedMemoryServer(Server):
    """Every call writes its picture anew, as a client does that is given new ones.

    Everybody of a picture is asked for; answers come over gRPC.
    """

    def run(self, group: Group, seconds: float) -> Calls:
        with asking(self._url), InferenceServerClient(self._url) as server, ExitStack() as regions:
            pictures = [
                regions.enter_context(shared_picture(server, f"peopleseg_{number}", question.image))
                for number, question in enumerate(group.questions)
            ]

            def request_of_turn(turn: int) -> wire.Request:
                picture = pictures[turn % len(pictures)]
                picture.write()
                return picture.request

            return self.drive(request_of_turn, seconds)


@contextmanager
def shared_picture(
    server: InferenceServerClient, name: str, image: bytes
) -> Iterator[SharedPicture]:
    """image: an encoded picture. The server forgets the region afterwards, and it is removed."""
    encoded = serialize_byte_tensor(bytes_tensor(image))
    serialized = np.frombuffer(encoded.item(), dtype=np.uint8)
    key, size = f"/{name}_{os.getpid()}", serialized.nbytes
    with ExitStack() as afterwards:
        region = shared_memory.create_shared_memory_region(name, key, size)
        afterwards.callback(shared_memory.destroy_shared_memory_region, region)
        server.register_system_shared_memory(name, key, size)
        afterwards.callback(_forget, server, name)
        request = wire.segment_request(image)
        request.inputs[0].set_shared_memory(name, size)
        yield SharedPicture(region, serialized, request)


def _forget(server: InferenceServerClient, name: str) -> None:
    """Unregister a region; the server holds it for a moment after its answer, and refuses then."""
    deadline = time.monotonic() + RELEASE_TIMEOUT_S
    while True:
        try:
            server.unregister_system_shared_memory(name)
            return
        except InferenceServerException:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
