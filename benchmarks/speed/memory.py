"""How much memory the server needs, and whether that grows with what it has answered.

  peopleseg bench memory --images val --annotations person_val.json
  peopleseg bench memory --images val --annotations person_val.json --requests 100 1000

The resident size (RSS) of every process of the server: at rest, under load, and at rest again after
so many requests. RSS counts memory that processes share once for each of them; the proportional
size (PSS) shares it out, so its sum is what the server takes. Starts a server of its own.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import psutil
from tqdm import tqdm

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.errors import BenchError
from benchmarks.speed.images import ImageOptions, choose_images
from benchmarks.speed.options import RunOptions, confined_to, running_server
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import Group, Server
from peopleseg.cli.options import Count, Counts, Help
from serving.guard import processes_of_group

AT_REST, UNDER_LOAD, AFTER = "at rest", "under load", "after {} requests"
SLICE_S = 2.0  # between two looks at how many requests were answered
FIRST_LOOK_S, RARER = 0.3, 1.5  # under load: the first pause, and by how much the next is longer
SETTLE_S = 2.0  # from the last response to the look at rest
_INSTANCE = re.compile(r"(\w+)_\d+_\d+")  # as Triton calls a model's process on its command line


@dataclass(frozen=True)
class MemorySample:
    """One look at every process."""

    stage: str
    requests: int  # answered before
    processes: dict[str, dict[str, float]]  # by model: rss_mb, pss_mb
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, ImageOptions):
    requests: Annotated[Counts, Help("after which to look")] = (1000, 10_000)
    concurrency: Annotated[Count, Help("callers at a time")] = 4


def run(args: Options) -> int:
    with confined_to(args.threads):
        chosen = choose_images(
            args, open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        )
        everything = Group("all", [one for group in chosen.groups for one in group.requests])
        with running_server(args.model_repository, device=args.device) as running:
            assert running.pid is not None
            server = Server(running.url, args.concurrency)
            samples = measure(server, running.pid, everything, sorted(args.requests))
    return finish(
        args,
        "memory",
        samples,
        {"concurrency": args.concurrency, "images": chosen.records},
        triton=running.triton,
    )


def measure(server: Server, pid: int, group: Group, requests: list[int]) -> list[MemorySample]:
    """Looks at rest, under load, and after each number of requests, at least.

    Raises BenchError when a whole slice of load is not answered.
    """
    samples = [MemorySample(AT_REST, 0, resident(pid))]
    answered = 0
    with tqdm(total=requests[-1], unit="request", disable=None) as bar:
        for wanted in requests:
            with looking(pid, samples, answered):
                failures: Counter[str] = Counter()
                while answered < wanted:
                    calls = server.run(group, SLICE_S)
                    failures.update(calls.failures)
                    if not calls.calls_ms:
                        raise BenchError(f"the server answers no more: {dict(failures)}")
                    answered += len(calls.calls_ms)
                    bar.update(len(calls.calls_ms))
            time.sleep(SETTLE_S)
            stage = AFTER.format(wanted)
            samples.append(MemorySample(stage, answered, resident(pid), failures))
    return samples


@contextmanager
def looking(pid: int, samples: list[MemorySample], answered: int) -> Iterator[None]:
    """Look at the processes meanwhile, ever more rarely."""
    stop = threading.Event()

    def look() -> None:
        pause = FIRST_LOOK_S
        while not stop.wait(pause):
            pause *= RARER
            samples.append(MemorySample(UNDER_LOAD, answered, resident(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def resident(pid: int) -> dict[str, dict[str, float]]:
    """Megabytes of each process of the server, whose process group has this number."""
    sizes = {}
    for member in processes_of_group(pid):
        process = psutil.Process(member)
        memory = process.memory_full_info()
        sizes[name_of(process)] = {
            "rss_mb": round(memory.rss / 2**20, 2),
            "pss_mb": round(memory.pss / 2**20, 2),
        }
    return sizes


def name_of(process: psutil.Process) -> str:
    """The model of a step's process, with the number of its instance if it is not the first."""
    for argument in process.cmdline()[1:]:
        if match := _INSTANCE.fullmatch(argument):
            return argument.removesuffix("_0_0") if argument.endswith("_0_0") else match[0]
    return str(process.name())
