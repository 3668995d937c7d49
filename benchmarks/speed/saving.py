"""The end of every benchmark: its result is written and its table is printed."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.options import RoundOptions, RunOptions
from benchmarks.speed.result import Result, folder_of, make_result, write_result
from benchmarks.speed.tables import TABLES
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.system import System
from peopleseg.systems.wiring import serving_versions


def finish(
    args: RunOptions,
    benchmark: str,
    samples: Sequence[Any],
    settings: Mapping[str, Any],
    *,
    system: System = PEOPLE,
    **more: Any,
) -> int:
    """Save what was measured with these options; the exit code of `save`.

    samples: dataclasses. settings: beside the rounds. more: as `make_result` takes it.
    """
    rounds = {}
    if isinstance(args, RoundOptions):
        rounds = {"rounds": args.rounds, "seconds": args.seconds}
    result = make_result(
        benchmark,
        samples,
        {**rounds, **settings},
        threads=args.threads,
        versions=serving_versions(args.model_repository, system),
        device=args.device,
        **more,
    )
    return save(args.results or folder_of(args.device), result)


def save(folder: Path, result: Result) -> int:
    """The exit code: 1 where calls failed, whose causes are told."""
    path = write_result(folder, result)
    print(f"\n{TABLES[result['benchmark']](result)}\n\nwritten: {path}")
    failures: Counter[str] = Counter()
    for sample in result["samples"]:
        failures.update(sample.get("failures", {}))
    for cause, count in failures.items():
        print(f"peopleseg: {count} calls failed: {cause}", file=sys.stderr)
    return 1 if failures else 0
