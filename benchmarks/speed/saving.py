"""The end of every benchmark: its result is written and its table is printed."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.options import RunOptions
from benchmarks.speed.result import Result, folder_of, make_result, write_result
from benchmarks.speed.tables import TABLES
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.system import System
from peopleseg.systems.wiring import serving_versions


def finish(
    args: RunOptions,
    benchmark: str,
    *,
    settings: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any] | None = None,
    triton: str | None = None,
    system: System = PEOPLE,
) -> int:
    """Save what was measured with these options; the exit code of `save`."""
    result = make_result(
        benchmark,
        threads=args.threads,
        versions=serving_versions(args.model_repository, system),
        settings=settings,
        samples=samples,
        device=args.device,
        metrics=metrics,
        triton=triton,
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
