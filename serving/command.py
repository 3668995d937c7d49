"""Serve the models of a repository by Triton on this machine, until a signal ends it.

`peopleseg serve` loads the project's ensembles, prints one line when they answer, and stays. A step
that dies is loaded again, a server that dies or hangs is started again; /readyz of the health port
says whether every system answers (docs/operations.md).
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from peopleseg.cli.options import FileToWrite, Help, Positive, RepositoryOption, whole
from peopleseg.releases.errors import ReleaseError
from peopleseg.systems.known import ENSEMBLES
from serving import running
from serving.embedded import EmbeddedServer
from serving.exposure import exposure

_LOG = logging.getLogger(__name__)
READY_TIMEOUT_S = 180.0


Port = Annotated[int, whole(1, 65535)]


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption):
    host: Annotated[str, Help("address to listen on")] = "127.0.0.1"
    http_port: Port = 8000
    grpc_port: Port = 8001
    metrics_port: Port = 8002
    health_port: Annotated[
        int, whole(1, 65535), Help("of /readyz, /healthz, /startupz and the /metrics of heals")
    ] = running.HEALTH_PORT
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
    """Serve until SIGINT or SIGTERM (exit code 0) or until it cannot be kept serving (1)."""
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

    def say_ready(readyz_url: str) -> None:
        print(
            f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, "
            f"metrics {server.metrics_url}, health {readyz_url}, log {server.log_file}",
            flush=True,
        )

    return running.run(server, args.health_port, args.ready_timeout_s, say_ready)


def default_log_file(http_port: int) -> Path:
    """One log per port, outside of the folder that happens to be the current one."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "peopleseg" / f"triton-{http_port}.log"
