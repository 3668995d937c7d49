"""Where a request's time goes: every step's time and bytes, on the server and called directly.

  peopleseg bench steps --images val --annotations person_val.json

The server's times are from Triton's own statistics of each step: waiting in its queue, taking its
inputs, computing, giving its outputs; in milliseconds a request, over the requests of one slice.
Steps that run beside each other add up to more than the request takes. Called directly, one step
follows the other. `read` and `written` are the bytes of a step's tensors.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any, NamedTuple

import numpy as np
from tqdm import tqdm
from tritonclient.grpc import InferenceServerClient

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.images import ImageOptions, choose_images
from benchmarks.speed.options import (
    RoundOptions,
    RunOptions,
    ServerOption,
    confined_to,
    running_server,
)
from benchmarks.speed.saving import finish
from benchmarks.speed.tables import PARTS
from benchmarks.speed.targets import ONE_CALLER, SERVER, Group, Server, asking, check_responses
from peopleseg.cli.options import Counts, Help
from peopleseg.client.wire import CHANNEL_ARGS
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems import pipeline as pipelines
from peopleseg.systems.known import ENSEMBLES
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays
from peopleseg.systems.wiring import steps_of, wiring

ENSEMBLE = "person_segmentation"
Times = dict[str, float]  # milliseconds a request, by part


@dataclass(frozen=True)
class StepSample:
    """What one slice of load said of every step."""

    target: str
    group: str
    callers: int
    round: int
    latency_ms: float  # mean, as the caller sees it
    steps: dict[str, Times]
    failures: dict[str, int] = field(default_factory=dict)
    tensor_bytes: dict[str, dict[str, int]] = field(default_factory=dict)  # mean; direct only


class StepRun(NamedTuple):
    """One call of one step."""

    ms: float
    read_bytes: int  # of its input tensors
    written_bytes: int  # of its output tensors


class Stepwise:
    """A pipeline whose steps are timed, in the wiring of its ensemble."""

    def __init__(self, pipeline: PeoplePipeline) -> None:
        self._pipeline = pipeline
        self._wiring = wiring(pipeline.system.ensemble(ENSEMBLE), pipeline.reads)

    def run(self, image: bytes) -> tuple[dict[str, StepRun], Arrays]:
        """Every step of one image, by name, and all tensors of the ensemble."""
        runs: dict[str, StepRun] = {}

        def timed(name: str, wanted: Collection[str], inputs: Arrays) -> Arrays:
            begin = time.perf_counter()
            made = self._pipeline.call_step(name, inputs, wanted)
            ms = 1000 * (time.perf_counter() - begin)
            outputs = {name: made[name] for name in wanted}
            runs[name] = StepRun(ms, _bytes_of(inputs), _bytes_of(outputs))
            return outputs

        tensors = pipelines.run(self._wiring, {IMAGE.name: bytes_tensor(image)}, timed)
        return runs, tensors


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption, ImageOptions):
    concurrency: Annotated[Counts, Help("callers at a time")] = (1, 4)


def run(args: Options) -> int:
    with confined_to(args.threads):
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        chosen = choose_images(args, pipeline)
        steps = steps_of(ENSEMBLES[ENSEMBLE], pipeline.reads)
        stepwise = Stepwise(pipeline)
        with running_server(args.model_repository, args.url, device=args.device) as running:
            check_responses(running.url, chosen.groups)
            servers = [Server(running.url, callers) for callers in args.concurrency]
            samples = []
            for number in tqdm(range(-1, args.rounds), unit="round", disable=None):
                for group in chosen.groups:
                    found = [called_directly(stepwise, group, number, args.seconds)]
                    found += [
                        on_server(server, running.url, steps, group, number, args.seconds)
                        for server in servers
                    ]
                    samples += found if number >= 0 else []  # the round before warms up
    return finish(args, "steps", samples, {"images": chosen.records}, triton=running.triton)


def called_directly(stepwise: Stepwise, group: Group, number: int, seconds: float) -> StepSample:
    """Whole rounds through the group's images, at least one."""
    runs: list[dict[str, StepRun]] = []
    deadline = time.perf_counter() + seconds
    while not runs or time.perf_counter() < deadline:
        runs += [stepwise.run(request.image)[0] for request in group.requests]
    steps = {name: {"compute_infer": fmean(run[name].ms for run in runs)} for name in runs[0]}
    tensor_bytes = {
        name: {
            "read": round(fmean(run[name].read_bytes for run in runs)),
            "written": round(fmean(run[name].written_bytes for run in runs)),
        }
        for name in runs[0]
    }
    latency_ms = sum(times["compute_infer"] for times in steps.values())
    return StepSample(
        ONE_CALLER, group.name, 1, number, latency_ms, steps, tensor_bytes=tensor_bytes
    )


def on_server(
    server: Server, url: str, steps: Sequence[str], group: Group, number: int, seconds: float
) -> StepSample:
    before = statistics_of(url, steps)
    calls = server.run(group, seconds)
    after = statistics_of(url, steps)
    latencies = [end - begin for begin, end in calls.calls_ms]
    return StepSample(
        SERVER,
        group.name,
        server.callers,
        number,
        fmean(latencies) if latencies else 0.0,
        {step: per_request(before[step], after[step]) for step in steps},
        calls.failures,
    )


def statistics_of(url: str, steps: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Of every step and part: count and nanoseconds since the server began, over all versions."""
    with asking(url), InferenceServerClient(url, channel_args=CHANNEL_ARGS) as server:
        found = server.get_inference_statistics().model_stats
    return {step: _sums([one for one in found if one.name == step]) for step in steps}


def per_request(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> Times:
    """Milliseconds of each part, of the requests between two looks at the statistics."""
    times = {}
    for part in PARTS:
        count, ns = (b - a for a, b in zip(before[part], after[part], strict=True))
        times[part] = ns / 1e6 / count if count else 0.0
    return times


def _sums(found: Sequence[Any]) -> dict[str, tuple[int, int]]:
    durations = {part: [getattr(one.inference_stats, part) for one in found] for part in PARTS}
    return {
        part: (sum(one.count for one in ours), sum(one.ns for one in ours))
        for part, ours in durations.items()
    }


def _bytes_of(tensors: Arrays) -> int:
    return sum(
        sum(map(len, values)) if values.dtype == np.object_ else values.nbytes
        for values in tensors.values()
    )
