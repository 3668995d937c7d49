"""Serve the models of a repository by Triton on this machine, until a signal ends it.

`peopleseg serve` loads the project's ensembles, prints one line when they answer, and stays.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from peopleseg.cli.options import add_repository_option
from peopleseg.cli.output import file_to_write
from peopleseg.releases.errors import ReleaseError
from peopleseg.systems.known import ENSEMBLES
from serving import triton_log
from serving.embedded import EmbeddedServer, describe_status
from serving.errors import ServerStartError
from serving.exposure import exposure

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 9.0  # the guard gives Triton 8 s; the command promises to end within 10 s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--http-port", type=int, default=8000, help="(%(default)s)")
    parser.add_argument("--grpc-port", type=int, default=8001, help="(%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=8002, help="(%(default)s)")
    add_repository_option(parser)
    parser.add_argument(
        "--model-config-name",
        metavar="NAME",
        help="use each model's configs/NAME.pbtxt where it has one, e.g. cuda",
    )
    parser.add_argument(
        "--load-model",
        metavar="MODEL",
        action="append",
        help="load this model and its steps; may be repeated (those that the repository has of "
        f"{', '.join(ENSEMBLES)})",
    )
    parser.add_argument(
        "--log-file",
        type=file_to_write,
        help="Triton's log, begun anew at each start "
        "(peopleseg/triton-HTTP_PORT.log under $XDG_STATE_HOME or ~/.local/state)",
    )
    parser.add_argument(
        "--ready-timeout-s",
        type=float,
        default=READY_TIMEOUT_S,
        help="give up if the models are not ready after this many seconds (%(default)g)",
    )
    parser.add_argument(
        "--triton-argument",
        metavar="FLAG",
        action="append",
        default=[],
        help="passed to tritonserver as it is, e.g. --triton-argument=--log-verbose=1; "
        "may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM (exit code 0) or until Triton ends on its own (1)."""
    extra = list(args.triton_argument)
    if args.model_config_name:
        extra.append(f"--model-config-name={args.model_config_name}")
    logging.basicConfig(format="peopleseg serve: %(message)s")
    try:
        exposed = exposure(args.host, extra)
    except ReleaseError as error:
        _say(str(error))
        return 1
    server = EmbeddedServer(
        model_repository=args.model_repository,
        log_file=args.log_file or default_log_file(args.http_port),
        host=args.host,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        metrics_port=args.metrics_port,
        models=args.load_model,
        extra_arguments=[*extra, *exposed.arguments],
    )
    if exposed.said:
        _say(exposed.said)
    return serve(server, args.ready_timeout_s)


def serve(server: EmbeddedServer, ready_timeout_s: float) -> int:
    """Start the server, print one line when it is ready, stay until it ends; the exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.start()
        _say(f"loading {', '.join(server.models)}; log: {server.log_file}")
        server.wait_until_ready(ready_timeout_s)
        print(
            f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, "
            f"metrics {server.metrics_url}, log {server.log_file}",
            flush=True,
        )
        status = server.wait()
        _say(
            f"Triton ended on its own ({describe_status(status)}); "
            f"{triton_log.describe(server.log_file)}"
        )
        return 1
    except (ServerStartError, ReleaseError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopping")
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


def _say(text: str) -> None:
    print(f"peopleseg serve: {text}", file=sys.stderr, flush=True)
