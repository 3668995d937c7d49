"""Serve the models of a repository by Triton on this machine, until a signal ends it.

`peopleseg serve` loads the project's ensembles, prints one line when they answer, and stays.
"""

import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

from cyclopts import Parameter

from peopleseg.cli.options import FileToWrite, Help, Positive, RepositoryOption, whole
from peopleseg.releases.errors import ReleaseError
from peopleseg.systems.known import ENSEMBLES
from serving import triton_log
from serving.embedded import EmbeddedServer
from serving.errors import ServerStartError
from serving.exposure import exposure
from serving.server import describe_status

_LOG = logging.getLogger(__name__)
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 9.0  # the guard gives Triton 8 s; the command promises to end within 10 s


Port = Annotated[int, whole(1, 65535)]


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption):
    host: Annotated[str, Help("address to listen on")] = "127.0.0.1"
    http_port: Port = 8000
    grpc_port: Port = 8001
    metrics_port: Port = 8002
    model_config_name: Annotated[
        str | None, Help("use each model's configs/NAME.pbtxt where it has one, e.g. cuda")
    ] = None
    load_model: Annotated[
        tuple[str, ...],
        Help(
            "load these models and their steps (those that the repository has of "
            f"{', '.join(ENSEMBLES)})"
        ),
    ] = ()
    log_file: Annotated[
        FileToWrite | None,
        Help(
            "Triton's log, begun anew at each start "
            "(peopleseg/triton-HTTP_PORT.log under $XDG_STATE_HOME or ~/.local/state)"
        ),
    ] = None
    ready_timeout_s: Annotated[
        Positive, Help("give up if the models are not ready after this many seconds")
    ] = READY_TIMEOUT_S
    triton_argument: Annotated[
        tuple[str, ...],
        Help("passed to tritonserver as it is, e.g. --triton-argument=--log-verbose=1"),
        Parameter(consume_multiple=False, allow_leading_hyphen=True),
    ] = ()


def run(args: Options) -> int:
    """Serve until SIGINT or SIGTERM (exit code 0) or until Triton ends on its own (1)."""
    extra = list(args.triton_argument)
    if args.model_config_name:
        extra.append(f"--model-config-name={args.model_config_name}")
    try:
        exposed = exposure(args.host, extra)
    except ReleaseError as error:
        _LOG.error("%s", error)
        return 1
    server = EmbeddedServer(
        model_repository=args.model_repository,
        log_file=args.log_file or default_log_file(args.http_port),
        host=args.host,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        metrics_port=args.metrics_port,
        models=args.load_model or None,
        extra_arguments=[*extra, *exposed.arguments],
    )
    if exposed.said:
        _LOG.warning("%s", exposed.said)
    return serve(server, args.ready_timeout_s)


def serve(server: EmbeddedServer, ready_timeout_s: float) -> int:
    """Start the server, print one line when it is ready, stay until it ends; the exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.start()
        _LOG.info("loading %s; log: %s", ", ".join(server.models), server.log_file)
        server.wait_until_ready(ready_timeout_s)
        print(
            f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, "
            f"metrics {server.metrics_url}, log {server.log_file}",
            flush=True,
        )
        status = server.wait()
        _LOG.error(
            "Triton ended on its own (%s); %s",
            describe_status(status),
            triton_log.describe(server.log_file),
        )
        return 1
    except (ServerStartError, ReleaseError) as error:
        _LOG.error("%s", error)
        return 1
    except KeyboardInterrupt:
        _LOG.info("stopping")
        return 0
    finally:
        server.stop(STOP_TIMEOUT_S)


def default_log_file(http_port: int) -> Path:
    """One log per port, outside of the folder that happens to be the current one."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "peopleseg" / f"triton-{http_port}.log"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End `serve` once; a second signal must not cut its cleaning up short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
