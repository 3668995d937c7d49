"""The options and the surroundings that several benchmarks share."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tritonclient.grpc import InferenceServerClient

from benchmarks.speed.devices import CPU, CUDA, add_device_option, server_arguments
from benchmarks.speed.result import RESULTS
from benchmarks.speed.targets import asking
from peopleseg.cli.options import add_repository_option, positive
from peopleseg.cli.output import folder_to_write
from peopleseg.client.wire import CHANNEL_ARGS, grpc_address
from serving.embedded import EmbeddedServer
from serving.ports import free_ports

READY_TIMEOUT_S = 300.0
ROUNDS, SECONDS = 5, 3.0


class Running(NamedTuple):
    """A server that answers."""

    url: str
    triton: str  # its version
    pid: int | None  # None for one that was running before


def add_run_options(parser: argparse.ArgumentParser) -> None:
    add_repository_option(parser)
    add_device_option(parser)
    parser.add_argument(
        "--threads",
        type=positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="CPUs for all that is measured, its callers too (all: %(default)s)",
    )
    parser.add_argument(
        "--results",
        type=folder_to_write,
        metavar="DIR",
        help=f"for the JSON ({RESULTS}; on cuda the folder {CUDA} there)",
    )


def add_round_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=positive, default=ROUNDS, metavar="N", help="of slices (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help="of each slice (%(default)s)"
    )


def add_server_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=grpc_address,
        metavar="HOST:PORT",
        help="gRPC port of a server of this machine that is up, on --device; without it, one is "
        "started",
    )


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
