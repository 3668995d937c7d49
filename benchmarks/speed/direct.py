"""The limit: the served networks and steps called in one process, without a server.

  peopleseg bench direct --images val --annotations person_val.json

Called in both ways to use the threads: by one caller with all of them, and by as many callers as
threads, with one each. The better one is the limit for a server with the same threads.
"""

from dataclasses import dataclass

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.images import ImageOptions, choose_images
from benchmarks.speed.options import RoundOptions, RunOptions, confined_to
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import direct_targets, interleave


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ImageOptions):
    """These groups alone."""


def run(args: Options) -> int:
    with confined_to(args.threads):
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        chosen = choose_images(args, pipeline)
        targets = direct_targets(
            pipeline, args.model_repository, threads=args.threads, device=args.device
        )
        slices = interleave(targets, chosen.groups, rounds=args.rounds, seconds=args.seconds)
    return finish(args, "direct", slices, {"images": chosen.records})
