"""The file that a benchmark leaves: its raw samples, and all that they depend on.

    {
      "benchmark": "server",            what was measured; names the file, its table and its plot
      "command": "peopleseg bench ...",
      "time": "2026-01-31T12:00:00+00:00",
      "commit": "...",                  of this repository; -dirty where files differ from it
      "machine": {"processor": "...", "cores": 8, "memory_gb": 31, "system": "Linux 6.1"},
      "device": "cpu",
      "threads": 2,                     processors that everything measured had together
      "software": {"python": "3.11.2", "onnxruntime": "1.23.2", "triton": "2.51.0", ...},
      "versions": {"yolov9": 2, ...},   of the steps served
      "settings": {...},                rounds, seconds, pictures and the like
      "samples": [...]                  Slices, or what the benchmark's module says
    }

Tables and plots are made from this file alone.
"""

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.speed.errors import BenchError
from benchmarks.speed.load import Slice
from clients.results import write_json
from conversion.commit import current_commit

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "torch", "torchvision")
Result = dict[str, Any]


def make_result(
    benchmark: str,
    *,
    threads: int,
    versions: Mapping[str, int],
    settings: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    triton: str | None = None,
) -> Result:
    """triton: version of the server, where one was measured."""
    return {
        "benchmark": benchmark,
        "command": shlex.join(["peopleseg", *sys.argv[1:]]),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": current_commit(),
        "machine": machine(),
        "device": "cpu",
        "threads": threads,
        "software": {**software(), **({"triton": triton} if triton else {})},
        "versions": dict(versions),
        "settings": dict(settings),
        "samples": list(samples),
    }


def as_samples(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    return [asdict(one) for one in slices]


def slices_of(result: Result) -> list[Slice]:
    return [Slice(**sample) for sample in result["samples"]]


def write_result(folder: Path, result: Result) -> Path:
    """Whole or not at all. Raises OSError."""
    path = folder / f"{result['benchmark']}.json"
    write_json(path, result)
    return path


def read_results(folder: Path, benchmarks: Sequence[str]) -> dict[str, Result]:
    """The results that a folder has, by benchmark. Raises BenchError for a file that is none."""
    results = {}
    for name in benchmarks:
        path = folder / f"{name}.json"
        if path.is_file():
            results[name] = json.loads(path.read_text())
            if results[name].get("benchmark") != name:
                raise BenchError(f"{path} is not a result of `peopleseg bench {name}`")
    return results


def machine() -> dict[str, Any]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * size / 2**30),
        "system": f"{platform.system()} {platform.release()}",
    }


def software() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # torch is not needed to serve
            continue
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
