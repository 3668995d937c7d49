"""Measure how fast the server is, and what limits it.

  peopleseg bench server --images val --annotations person_val.json
  peopleseg bench report

Each benchmark writes one JSON with its raw samples into benchmarks/results/ and prints its table;
`report` makes the tables and plots of all of them again, from the JSON alone. `make bench` runs a
short form of all, `make bench-full` the form whose metrics are published. All but `report` measure
on the CPUs; with --device cuda, on the first NVIDIA GPU.
"""

import argparse
import sys

from benchmarks.speed import (
    direct,
    ensemble,
    memory,
    peers,
    report,
    rois,
    runtimes,
    server,
    steps,
)
from benchmarks.speed.devices import CPU, require
from benchmarks.speed.errors import BenchError, MissingTool
from benchmarks.speed.result import folder_of
from peopleseg.cli.output import folder_fault
from peopleseg.errors import InvalidInput
from serving.errors import ServerError

BENCHMARKS = {
    "direct": (direct, "the served networks called in one process: the limit"),
    "server": (server, "the server under load, by turns with the limit"),
    "ensemble": (ensemble, "any ensemble under load, by turns with its steps in one process"),
    "steps": (steps, "where a request's time goes: each step's time and bytes"),
    "rois": (rois, "latency against the number of rois"),
    "peers": (peers, "beside Mask R-CNN and the published full-size graphs"),
    "runtimes": (runtimes, "every network by every runtime; lite and full heads"),
    "memory": (memory, "memory at rest, under load and after many requests"),
    "report": (report, "tables and plots of the results"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The benchmarks, each with its options."""
    benchmarks = parser.add_subparsers(
        title="benchmarks", metavar="<benchmark>", dest="benchmark", required=True
    )
    for name, (module, summary) in BENCHMARKS.items():
        subparser = benchmarks.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)


def run(args: argparse.Namespace) -> int:
    """The exit code: 1 where calls failed or nothing can be measured, 2 where a tool is missing."""
    module, _ = BENCHMARKS[args.benchmark]
    try:
        require(getattr(args, "device", CPU))
        if fault := folder_fault(args.results or folder_of(args.device)):
            raise BenchError(f"--results: {fault}")
        return int(module.run(args))
    except MissingTool as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 2
    except (BenchError, InvalidInput, ServerError) as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
