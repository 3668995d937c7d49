"""Any ensemble of any system under load, by turns with its steps called in one process.

  peopleseg bench ensemble people_foreground --images photos --concurrency 1 4

Asked is what tries a release: the images, and what else the ensemble reads, made up. Rounds and
ratios are as in `peopleseg bench server`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

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
from peopleseg.pixels.image_files import find_images
from peopleseg.systems.known import ENSEMBLES, system_of
from peopleseg.systems.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption):
    ensemble: Annotated[EnsembleName, POSITIONAL, Help("its name")]
    images: Annotated[Path, Help("folder of the images")]
    most_images: Annotated[Count, Help("of the folder")] = 4
    concurrency: Annotated[Counts, Help("callers at a time")] = (1, 4)


def run(args: Options) -> int:
    ensemble, system = ENSEMBLES[args.ensemble], system_of(args.ensemble)
    try:
        files = find_images(args.images, leave_out=args.images / "out")[: args.most_images]
    except FileNotFoundError as error:
        raise BenchError(f"--images {args.images}: {error}") from error
    requests = [
        TensorRequest(ensemble.name, ensemble.sample_inputs(file.read_bytes())) for file in files
    ]
    with confined_to(args.threads):
        on_gpu = open_on_gpu if args.device == CUDA else None
        pipeline = Pipeline(
            system, args.model_repository, threads=args.threads, open_network=on_gpu
        )
        with running_server(args.model_repository, args.url, device=args.device) as running:
            targets: list[Target] = [InProcess(ONE_CALLER, lambda one: pipeline.call(*one))]
            targets += [Server(running.url, callers) for callers in args.concurrency]
            group = Group(ensemble.name, requests)
            slices = interleave(targets, [group], rounds=args.rounds, seconds=args.seconds)
    return finish(
        args,
        "ensemble",
        slices,
        {"images": [file.name for file in files]},
        triton=running.triton,
        system=system,
    )
