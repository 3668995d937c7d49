"""The file that a benchmark leaves: its raw samples, and all that they depend on.

    {
      "benchmark": "server",            what was measured; names the file, its table and its plot
      "command": "peopleseg bench ...",
      "time": "2026-01-31T12:00:00+00:00",
      "commit": "...",                  of this repository; -dirty where files differ from it
      "machine": {"processor": "...", "cores": 8, "memory_gb": 31, "system": "Linux 6.1"},
                                        on cuda also the first "gpu" and its "driver"
      "device": "cpu",                  or "cuda"; of the networks
      "provider": "CPUExecutionProvider",  of ONNX Runtime for it
      "threads": 2,                     CPUs that everything measured had together
      "software": {"python": "3.11.2", "onnxruntime": "1.23.2", "triton": "2.51.0", ...},
      "versions": {"yolov9": 2, ...},   of the steps served
      "settings": {...},                rounds, seconds, images and the like
      "metrics": {...},                 what else was found, by some: see the benchmark's module
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

import onnxruntime

from benchmarks.speed.devices import CPU, CUDA, PROVIDERS, gpu
from benchmarks.speed.errors import BenchError
from benchmarks.speed.load import Slice
from peopleseg.labels.files import write_json
from peopleseg.repository.commit import current_commit

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("numpy", "opencv-python-headless", "tensorrt", "torch", "torchvision")
Result = dict[str, Any]


def make_result(
    benchmark: str,
    samples: Sequence[Any],
    settings: Mapping[str, Any],
    *,
    threads: int,
    versions: Mapping[str, int],
    device: str = CPU,
    metrics: Mapping[str, Any] | None = None,
    triton: str | None = None,
) -> Result:
    """samples: dataclasses. triton: version of the server, where one was measured."""
    return {
        "benchmark": benchmark,
        "command": shlex.join(["peopleseg", *map(without_place, sys.argv[1:])]),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": current_commit(),
        "machine": machine(device),
        "device": device,
        "provider": PROVIDERS[device],
        "threads": threads,
        "software": {**software(), **({"triton": triton} if triton else {})},
        "versions": dict(versions),
        "settings": dict(settings),
        **({"metrics": dict(metrics)} if metrics else {}),
        "samples": [asdict(one) for one in samples],
    }


def folder_of(device: str) -> Path:
    """For results; those of the CPUs and of GPUs do not overwrite each other."""
    return RESULTS / device if device != CPU else RESULTS


def without_place(argument: str) -> str:
    """A path outside of the working folder as its last two parts: where it lay is of no use."""
    path = Path(argument)
    outside = path.is_absolute() or argument.startswith("..")
    return "/".join(path.parts[-2:]) if outside else argument


def slices_of(result: Result) -> list[Slice]:
    """The samples of a result that was measured in slices."""
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


def machine(device: str = CPU) -> dict[str, Any]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * size / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        **(gpu() if device == CUDA else {}),
    }


def software() -> dict[str, str]:
    # ONNX Runtime's package has another name where it is for GPUs.
    found = {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    if onnxruntime.cuda_version:
        found["cuda"] = onnxruntime.cuda_version
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
