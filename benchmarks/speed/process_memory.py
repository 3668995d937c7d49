"""What a network adds to the memory of a process of its own.

Resident bytes, as Linux counts them: the graph, what ONNX Runtime makes of it, and what it needs
while it computes. Imports torch nowhere: the process has nothing but what serves.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.speed.errors import BenchError
from peopleseg.runtime.onnx_session import open_session
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.pipeline import OnnxModel
from peopleseg.systems.step import Arrays

CALLS = 6  # until what is resident is taken for steady
_KIB = 1024
_RESET_PEAK = "5"  # for clear_refs, as proc(5) has it


@dataclass(frozen=True)
class ProcessMemory:
    """Resident bytes of one process."""

    before: int  # when it had opened nothing
    peak: int  # the most at once from then on
    steady: int  # after it has answered


def open_network(artifact: Path, threads: int) -> OnnxModel:
    """On the CPUs. Raises ModelLoadError."""
    return OnnxModel(open_session(artifact, options_for(threads), ["CPUExecutionProvider"]))


def memory_of(artifact: Path, inputs: Sequence[Arrays], *, threads: int) -> ProcessMemory:
    """Of a fresh process that opens a network and answers CALLS times.

    Raises ModelLoadError, and BenchError where the process is killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_opened_here, artifact, inputs, threads).result()
        except BrokenProcessPool as error:
            raise BenchError(
                f"the process that opened {artifact} was killed; it may need more memory than "
                "this machine has"
            ) from error


def _opened_here(artifact: Path, inputs: Sequence[Arrays], threads: int) -> ProcessMemory:
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _resident("VmRSS")
    model = open_network(artifact, threads)
    for turn in range(CALLS):
        model(**inputs[turn % len(inputs)])
    return ProcessMemory(before, peak=_resident("VmHWM"), steady=_resident("VmRSS"))


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _KIB
    raise BenchError(f"this system's /proc/self/status has no {field}: it is not Linux")
