"""The options and the surroundings that several benchmarks share."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from tritonclient.grpc import InferenceServerClient

from benchmarks.speed.devices import CPU, CUDA, Device, require, server_arguments
from benchmarks.speed.errors import BenchError
from benchmarks.speed.result import RESULTS, folder_of
from benchmarks.speed.targets import asking
from peopleseg.cli.options import Count, FolderToWrite, Help, Positive, RepositoryOption, whole
from peopleseg.cli.output import folder_fault
from peopleseg.cli.server_options import Address
from peopleseg.client.wire import CHANNEL_ARGS
from serving.embedded import EmbeddedServer
from serving.ports import free_ports

READY_TIMEOUT_S = 300.0
PROCESSORS = len(os.sched_getaffinity(0))


class Running(NamedTuple):
    """A server that answers."""

    url: str
    triton: str  # its version
    pid: int | None  # None for one that was running before


@dataclass(frozen=True, kw_only=True)
class RunOptions(RepositoryOption):
    """Of every benchmark that measures."""

    device: Annotated[Device, Help("for the networks: the CPUs, or the first NVIDIA GPU")] = CPU
    threads: Annotated[
        int, whole(1, PROCESSORS), Help("CPUs for all that is measured, its callers too")
    ] = PROCESSORS
    results: Annotated[
        FolderToWrite | None, Help(f"for the JSON ({RESULTS}; on cuda the folder {CUDA} there)")
    ] = None

    def __post_init__(self) -> None:
        """Raises MissingTool for a device that there is not, BenchError: nowhere to write."""
        require(self.device)
        if fault := folder_fault(self.results or folder_of(self.device)):
            raise BenchError(f"--results: {fault}")


@dataclass(frozen=True, kw_only=True)
class RoundOptions:
    rounds: Annotated[Count, Help("of slices")] = 5
    seconds: Annotated[Positive, Help("of each slice")] = 3.0


@dataclass(frozen=True, kw_only=True)
class ServerOption:
    url: Annotated[
        Address | None,
        Help(
            "gRPC port of a server of this machine that is up, on --device; without it, one is "
            "started"
        ),
    ] = None


@contextmanager
def confined_to(threads: int) -> Iterator[None]:
    """Let this thread, and what it starts meanwhile, run on so many CPUs and no others."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running_server(
    repository: Path, url: str | None = None, *, device: str = CPU
) -> Iterator[Running]:
    """The server at `url`, or one that is up meanwhile, with its networks on the device.

    Raises ServerStartError, and ServerUnavailable where nobody answers at `url`.
    """
    if url is not None:
        yield Running(url, triton_version(url), None)
        return
    http_port, grpc_port, metrics_port = free_ports(3)
    begin = time.monotonic()
    log_file = Path(tempfile.gettempdir()) / f"peopleseg-bench-{os.getpid()}-{grpc_port}.log"
    with EmbeddedServer(
        model_repository=repository,
        log_file=log_file,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        extra_arguments=server_arguments(device),
    ) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        print(f"server ready after {time.monotonic() - begin:.1f} s", flush=True)
        yield Running(server.grpc_url, triton_version(server.grpc_url), server.pid)
    log_file.unlink()  # kept where something failed


def triton_version(url: str) -> str:
    with asking(url), InferenceServerClient(url, channel_args=CHANNEL_ARGS) as server:
        return str(server.get_server_metadata().version)
