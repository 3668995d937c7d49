"""Any ensemble of any system under load, by turns with its steps called in one process.

  peopleseg bench ensemble people_foreground --images photos --concurrency 1 4
  peopleseg bench ensemble referring_person --images photos --prompts 1 10

Asked is what tries a release: the images, and what else the ensemble reads, made up: boxes, points
or texts, with --prompts so many of them, over and over the same. Rounds and ratios are as in
`peopleseg bench server`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from benchmarks.speed.devices import CUDA, open_on_gpu
from benchmarks.speed.errors import BenchError
from benchmarks.speed.options import (
    RoundOptions,
    RunOptions,
    ServerOption,
    confined_to,
    running_server,
)
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import (
    ONE_CALLER,
    Group,
    InProcess,
    Server,
    Target,
    TensorRequest,
    interleave,
)
from peopleseg.cli.options import POSITIONAL, Count, Counts, Help
from peopleseg.cli.system_options import EnsembleName
from peopleseg.errors import WrongUsage
from peopleseg.pixels.image_files import find_images
from peopleseg.systems.known import ENSEMBLES, system_of
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays
from peopleseg.systems.system import Ensemble


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption):
    ensemble: Annotated[EnsembleName, POSITIONAL, Help("its name")]
    images: Annotated[Path, Help("folder of the images")]
    most_images: Annotated[Count, Help("of the folder")] = 4
    concurrency: Annotated[Counts, Help("callers at a time")] = (1, 4)
    prompts: Annotated[Counts | None, Help("boxes, points or texts in a request")] = None


def run(args: Options) -> int:
    ensemble, system = ENSEMBLES[args.ensemble], system_of(args.ensemble)
    try:
        files = find_images(args.images, leave_out=args.images / "out")[: args.most_images]
    except FileNotFoundError as error:
        raise BenchError(f"--images {args.images}: {error}") from error
    groups = groups_of(ensemble, [file.read_bytes() for file in files], args.prompts)
    with confined_to(args.threads):
        on_gpu = open_on_gpu if args.device == CUDA else None
        pipeline = Pipeline(
            system, args.model_repository, threads=args.threads, open_network=on_gpu
        )
        with running_server(args.model_repository, args.url, device=args.device) as running:
            targets: list[Target] = [InProcess(ONE_CALLER, lambda one: pipeline.call(*one))]
            targets += [Server(running.url, callers) for callers in args.concurrency]
            slices = interleave(targets, groups, rounds=args.rounds, seconds=args.seconds)
    return finish(
        args,
        "ensemble",
        slices,
        {"images": [file.name for file in files]},
        triton=running.triton,
        system=system,
    )


def groups_of(
    ensemble: Ensemble, images: Sequence[bytes], prompts: Sequence[int] | None
) -> list[Group]:
    """One for each number of prompts; for none, one of requests as they try a release.

    Raises WrongUsage for prompts of an ensemble that reads an image alone.
    """
    samples = [ensemble.sample_inputs(image) for image in images]
    if prompts is None:
        return [Group(ensemble.name, [TensorRequest(ensemble.name, one) for one in samples])]
    read = [tensor.name for tensor in ensemble.model.inputs if tensor.name != IMAGE.name]
    if not read:
        raise WrongUsage(f"{ensemble.name} reads an image alone; leave --prompts out")
    return [
        Group(
            f"{ensemble.name}, {count} in a request",
            [TensorRequest(ensemble.name, _with(count, read, one)) for one in samples],
        )
        for count in sorted(set(prompts))
    ]


def _with(count: int, names: Sequence[str], inputs: Arrays) -> Arrays:
    """The inputs with so many rows in those of these names."""
    rows = {name: np.resize(inputs[name], (count, *inputs[name].shape[1:])) for name in names}
    return inputs | rows
