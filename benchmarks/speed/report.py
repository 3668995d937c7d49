"""Summary, tables and plots of the results, made from their JSON alone.

  peopleseg bench report
  peopleseg bench report --results benchmarks/results/cuda

Writes a PNG beside each JSON that `peopleseg bench` has left in the folder, and speed.md with all
tables. Needs matplotlib, which is among the packages for training.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchmarks.speed.errors import BenchError
from benchmarks.speed.result import RESULTS, read_results
from benchmarks.speed.summary import summary
from benchmarks.speed.tables import TABLES, heading
from peopleseg.cli.options import Help
from peopleseg.labels.files import write_atomically

PAGE = "speed.md"
TITLES = {
    "server": "The server under load",
    "ensemble": "Any ensemble under load",
    "direct": "The limit: called directly",
    "steps": "Where a request's time goes",
    "rois": "Latency against the number of rois",
    "peers": "Beside others",
    "runtimes": "How the networks are run",
    "memory": "Memory",
    "versions": "Versions of networks",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    results: Annotated[Path, Help("folder with the JSON")] = RESULTS


def run(args: Options) -> int:
    from benchmarks.speed.plots import draw

    results = read_results(args.results, list(TITLES))
    if not results:
        raise BenchError(f"{args.results} has no result; run `peopleseg bench server` first")
    parts = ["# Speed", "Medians over the rounds; from smallest to largest in brackets."]
    for name, result in results.items():
        draw(result, args.results / f"{name}.png")
        parts += [f"## {TITLES[name]}", heading(result), f"![{TITLES[name]}]({name}.png)"]
        parts.append(TABLES[name](result))
    parts[2:2] = summary(results)
    page = args.results / PAGE
    write_atomically(page, ("\n\n".join(parts) + "\n").encode())
    print(f"written: {page} and {len(results)} plots beside it")
    return 0
