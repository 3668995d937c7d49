"""Any ensemble of any system under load, by turns with its steps called in one process.

  peopleseg bench ensemble people_foreground --images photos --concurrency 1 4

Asked is what tries a release: the images, and what else the ensemble reads, made up. Rounds and
ratios are as in `peopleseg bench server`.
"""

import argparse
from pathlib import Path

from benchmarks.speed.devices import CUDA, open_on_gpu
from benchmarks.speed.options import (
    add_round_options,
    add_run_options,
    add_server_option,
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
from peopleseg.cli.options import positive
from peopleseg.pixels.image_files import find_images
from peopleseg.systems.known import ENSEMBLES, system_of
from peopleseg.systems.pipeline import Pipeline

CONCURRENCY = (1, 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ensemble", choices=ENSEMBLES, help="its name")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="real images")
    parser.add_argument(
        "--most-images", type=positive, default=4, metavar="N", help="of the folder (%(default)s)"
    )
    parser.add_argument(
        "--concurrency", type=positive, nargs="+", default=CONCURRENCY, metavar="N", help="callers"
    )
    add_server_option(parser)
    add_run_options(parser)
    add_round_options(parser)


def run(args: argparse.Namespace) -> int:
    ensemble, system = ENSEMBLES[args.ensemble], system_of(args.ensemble)
    files = find_images(args.images, leave_out=args.images / "out")[: args.most_images]
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
