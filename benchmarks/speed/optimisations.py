"""Before and after each optimisation: those that were kept, and those that were tried and dropped.

  peopleseg bench optimisations --images val --annotations person_val.json
  peopleseg bench optimisations --images val --annotations person_val.json \\
      --changes blocked_layout shared_memory_bmp

Each is measured alone, beside what is served: one that was kept is taken out of a copy of the model
repository, one that was dropped is put in. So figures do not multiply: what one brings depends on
the others. Servers of both are up and are asked by turns, by one caller (latency) and by four
(throughput). They must find the same people; where the detectors differ, both are asked of
pictures in which they find as many.

Networks as they were before have random weights, and so other masks of the same people; `peopleseg
bench runtimes` and `peopleseg bench peers` measure the full-size ones without a server. Not here:
other networks in INT8, as `peopleseg export --precision int8` has to make their versions first.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.changes import CHANGES, Change
from benchmarks.speed.devices import CPU, open_pipeline
from benchmarks.speed.edits import copy_served
from benchmarks.speed.errors import BenchError
from benchmarks.speed.options import (
    add_round_options,
    add_run_options,
    confined_to,
    running_server,
)
from benchmarks.speed.pictures import add_picture_options, choose_pictures
from benchmarks.speed.result import as_samples
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import (
    AFTER,
    BEFORE,
    Group,
    Server,
    Target,
    agreed,
    check_answers,
    interleave,
)

PEOPLE = (5,)
CALLERS = (1, 4)
NAMES = tuple(change.name for change in CHANGES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_picture_options(parser, PEOPLE)
    parser.add_argument(
        "--changes",
        nargs="+",
        choices=NAMES,
        default=NAMES,
        metavar="NAME",
        help=f"of {', '.join(NAMES)} (all)",
    )
    add_run_options(parser)
    add_round_options(parser)


def run(args: argparse.Namespace) -> int:
    if args.device != CPU:
        raise BenchError("the optimisations are those of serving on processors; leave out --device")
    changes = [change for change in CHANGES if change.name in args.changes]
    samples = []
    with confined_to(args.threads):
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        chosen = choose_pictures(args, pipeline)
        with running_server(args.model_repository) as running:
            for change in changes:
                print(f"{change.name}: {change.what}", flush=True)
                groups = [in_form(group, change) for group in chosen.groups]
                with other_side(change, args.model_repository, running.url) as url:
                    check_answers(running.url, groups)
                    if change.other_people:
                        groups = [agreed(url, group) for group in groups]
                    else:
                        check_answers(url, groups)
                    targets = sides(change, running.url, url)
                    slices = interleave(targets, groups, rounds=args.rounds, seconds=args.seconds)
                samples += as_samples(slices, change=change.name)
    return finish(
        args,
        "optimisations",
        settings={"rounds": args.rounds, "seconds": args.seconds, "pictures": chosen.records},
        samples=samples,
        figures={
            "changes": [
                {"name": change.name, "kept": change.kept, "what": change.what}
                for change in changes
            ]
        },
        triton=running.triton,
    )


def in_form(group: Group, change: Change) -> Group:
    """The group's questions with their pictures in the change's form."""
    questions = [one._replace(image=change.picture(one.image)) for one in group.questions]
    return group._replace(questions=questions)


@contextmanager
def other_side(change: Change, repository: Path, url: str) -> Iterator[str]:
    """The address of the server that has or lacks the change, unlike the one at `url`."""
    if change.edit is None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="optimisations-") as folder:
        copy = Path(folder)
        copy_served(repository, copy)
        change.edit(copy)
        with running_server(copy) as running:
            yield running.url


def sides(change: Change, served_url: str, other_url: str) -> list[Target]:
    """Both sides in turn, for each number of callers; what is served comes first."""
    served, other = (AFTER, BEFORE) if change.kept else (BEFORE, AFTER)
    targets: list[Target] = []
    for callers in CALLERS:
        targets.append(Server(served_url, callers, served))
        targets.append(change.ask(other_url, callers, other))
    return targets
