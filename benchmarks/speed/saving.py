"""The end of every benchmark: its result is written and its table is printed."""

import sys
from collections import Counter
from pathlib import Path

from benchmarks.speed.result import Result, write_result
from benchmarks.speed.tables import TABLES


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
