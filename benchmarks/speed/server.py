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

from dataclasses import dataclass
from typing import Annotated

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.images import ImageOptions, choose_images
from benchmarks.speed.options import (
    RoundOptions,
    RunOptions,
    ServerOption,
    confined_to,
    running_server,
)
from benchmarks.speed.perf_analyzer import DEFAULT_FOLDER, PerfAnalyzer, find_perf_analyzer
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import Server, Target, check_responses, direct_targets, interleave
from peopleseg.cli.options import Counts, FolderToWrite, Help


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption, ImageOptions):
    concurrency: Annotated[Counts, Help("callers at a time")] = (1, 2, 4, 8)
    perf_analyzer: Annotated[bool, Help("measure by perf_analyzer too")] = False
    perf_analyzer_folder: Annotated[FolderToWrite, Help("where it is, or is put")] = DEFAULT_FOLDER


def run(args: Options) -> int:
    tool = find_perf_analyzer(args.perf_analyzer_folder) if args.perf_analyzer else None
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
