"""The server under load, by turns with the same networks called directly.

  peopleseg bench server --images val --annotations person_val.json
  peopleseg bench server --images val --annotations person_val.json --people 1 5 10 \\
      --concurrency 1 4 --perf-analyzer

The ensemble person_segmentation is asked over gRPC by so many callers at a time; an embedded server
is started unless --url names one. Every round measures everything once, in short slices, and the
table has the medians over the rounds and the ratio to the limit (`peopleseg bench direct`) in the
same rounds: so it holds on a machine whose speed varies.

--perf-analyzer measures by NVIDIA's perf_analyzer as well; it is fetched where it is not at hand.
"""

import argparse
from pathlib import Path

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.images import add_image_options, choose_images
from benchmarks.speed.options import (
    add_round_options,
    add_run_options,
    add_server_option,
    confined_to,
    running_server,
)
from benchmarks.speed.perf_analyzer import DEFAULT_FOLDER, PerfAnalyzer, find_perf_analyzer
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import Server, Target, check_responses, direct_targets, interleave
from peopleseg.cli.options import positive

CONCURRENCY = (1, 2, 4, 8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_options(parser)
    parser.add_argument(
        "--concurrency",
        type=positive,
        nargs="+",
        default=CONCURRENCY,
        metavar="N",
        help=f"callers at a time ({' '.join(map(str, CONCURRENCY))})",
    )
    parser.add_argument(
        "--perf-analyzer",
        type=Path,
        nargs="?",
        const=DEFAULT_FOLDER,
        metavar="DIR",
        help=f"measure by perf_analyzer too; it is in DIR or is put there ({DEFAULT_FOLDER})",
    )
    add_server_option(parser)
    add_run_options(parser)
    add_round_options(parser)


def run(args: argparse.Namespace) -> int:
    tool = find_perf_analyzer(args.perf_analyzer) if args.perf_analyzer else None
    with confined_to(args.threads):
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        chosen = choose_images(args, pipeline)
        with running_server(args.model_repository, args.url, device=args.device) as running:
            check_responses(running.url, chosen.groups)
            targets: list[Target] = []
            targets += direct_targets(
                pipeline, args.model_repository, threads=args.threads, device=args.device
            )
            targets += [Server(running.url, callers) for callers in args.concurrency]
            if tool:
                targets += [PerfAnalyzer(tool, running.url, n) for n in args.concurrency]
            slices = interleave(targets, chosen.groups, rounds=args.rounds, seconds=args.seconds)
    return finish(args, "server", slices, {"images": chosen.records}, triton=running.triton)
