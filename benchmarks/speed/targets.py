"""What is measured side by side: the pipeline in this process, the server, and others."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.errors import BenchError
from benchmarks.speed.load import Calls, Slice, drive_tasks, drive_threads
from peopleseg.client import wire
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import translated
from peopleseg.systems.known import ENSEMBLES
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.step import Arrays

ONE_CALLER, MANY_CALLERS, SERVER = "direct_one_caller", "direct_many_callers", "server"
DIRECT = (ONE_CALLER, MANY_CALLERS)
TIMEOUT_S = 120.0


class PeopleRequest(NamedTuple):
    """One call: everybody of an image, or the people in these boxes of it."""

    image: bytes  # an encoded image
    people: int  # whom the response has
    boxes_xyxy: NDArray[np.float32] | None = None  # (people, 4) image pixels

    def request(self) -> wire.Request:
        if self.boxes_xyxy is None:
            return wire.segment_request(self.image)
        return wire.segment_from_boxes_request(self.image, self.boxes_xyxy)


class TensorRequest(NamedTuple):
    """One call of any ensemble, by its input tensors."""

    ensemble: str
    inputs: Arrays

    def request(self) -> wire.Request:
        return wire.request_of(ENSEMBLES[self.ensemble].model, self.inputs)


class Group(NamedTuple):
    """Requests that cost the same."""

    name: str
    requests: Sequence[Any]  # of one of the kinds above


class Target(Protocol):
    """What can be put under load."""

    name: str
    callers: int

    def run(self, group: Group, seconds: float) -> Calls:
        """Ask the group's requests, over and over."""


class InProcess:
    """A function of this process."""

    def __init__(self, name: str, response: Callable[[Any], object], callers: int = 1) -> None:
        self.name, self.callers = name, callers
        self._response = response

    def run(self, group: Group, seconds: float) -> Calls:
        requests = group.requests
        return drive_threads(
            lambda turn: self._response(requests[turn % len(requests)]), self.callers, seconds
        )


class Server:
    """A Triton server, called by gRPC. What it answers is received, but not decoded."""

    def __init__(self, url: str, callers: int, name: str = SERVER) -> None:
        self.name, self.callers = name, callers
        self._url = url

    def run(self, group: Group, seconds: float) -> Calls:
        return asyncio.run(self._run([one.request() for one in group.requests], seconds))

    async def _run(self, requests: Sequence[wire.Request], seconds: float) -> Calls:
        async with InferenceServerClient(self._url, channel_args=wire.CHANNEL_ARGS) as server:

            async def call(turn: int) -> None:
                request = requests[turn % len(requests)]
                with asking(self._url):
                    await server.infer(**request._asdict(), client_timeout=TIMEOUT_S)

            with asking(self._url):
                await server.is_server_live()  # connects before the clock runs
            return await drive_tasks(call, self.callers, seconds)


@contextmanager
def asking(url: str) -> Iterator[None]:
    """Around calls of a server: its errors become those of `peopleseg.client.errors`."""
    try:
        yield
    except InferenceServerException as error:
        raise translated(error, url=url, timeout_s=TIMEOUT_S) from error


def one_caller(pipeline: PeoplePipeline) -> InProcess:
    """The served artifacts called in this process, one request after the other."""
    return InProcess(ONE_CALLER, lambda request: respond(pipeline, request))


def direct_targets(
    together: PeoplePipeline, repository: Path, *, threads: int, device: str
) -> list[InProcess]:
    """The limit: the served artifacts in both ways to use the threads, which `together` has all."""
    targets = [one_caller(together)]
    if threads > 1:
        alone = open_pipeline(repository, threads=1, device=device)
        targets.append(InProcess(MANY_CALLERS, lambda request: respond(alone, request), threads))
    return targets


def respond(asked: PeoplePipeline | SegmentationClient, request: PeopleRequest) -> Any:
    if request.boxes_xyxy is None:
        return asked.segment(request.image)
    return asked.segment_from_boxes(request.image, request.boxes_xyxy)


def check_responses(url: str, groups: Sequence[Group]) -> None:
    """Raises BenchError unless the server finds in every image whom the pipeline here found."""
    with SegmentationClient(url, timeout_s=TIMEOUT_S) as client:
        for request in (one for group in groups for one in group.requests):
            if (found := len(respond(client, request))) != request.people:
                raise BenchError(
                    f"the server at {url} finds {found} people where the model repository's "
                    f"networks find {request.people}: they are not the same; name the "
                    "server's own with --model-repository"
                )


def back_and_forth(targets: Sequence[Target], number: int) -> Sequence[Target]:
    """Every second round goes backwards: what comes first has no advantage."""
    return targets if number % 2 == 0 else targets[::-1]


def interleave(
    targets: Sequence[Target],
    groups: Sequence[Group],
    *,
    rounds: int,
    seconds: float,
    order: Callable[[Sequence[Target], int], Sequence[Target]] = back_and_forth,
) -> list[Slice]:
    """Short slices of all targets by turns, so that each sees the same moods of the machine.

    order: of the targets in the round of this number. One round before is not counted: it warms up.
    """
    slices: list[Slice] = []
    total = (rounds + 1) * len(groups) * len(targets)
    with tqdm(total=total, unit="slice", disable=None) as bar:
        for number in range(-1, rounds):
            for group in groups:
                for target in order(targets, number):
                    bar.set_postfix_str(f"{target.name} x {target.callers}, {group.name}")
                    calls = target.run(group, seconds)
                    if number >= 0:
                        key = (target.name, group.name, target.callers, number)
                        slices.append(Slice(*key, *calls))
                    bar.update()
    return slices
