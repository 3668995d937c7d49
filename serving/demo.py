"""Run one client command against a server that is up only meanwhile.

    python -m serving.demo segment [PATH ...] --out DIR
    python -m serving.demo evaluate --images DIR --annotations COCO.json

Takes the subcommands and options of `peopleseg`, adds --url, and gives `segment` without a path
the example images. The server listens on free ports of this machine and ends with the command,
also when that fails or is interrupted.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from peopleseg.cli.application import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from peopleseg.cli.main import main as command
from peopleseg.errors import PeoplesegError
from peopleseg.pixels.examples import example_images
from peopleseg.repository.place import MODEL_REPOSITORY
from serving.embedded import EmbeddedServer
from serving.ports import free_ports
from serving.server import describe_status

READY_TIMEOUT_S = 300.0


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command, or 1 when the server does not start."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(__doc__, file=sys.stderr)
        return EXIT_USAGE
    arguments = with_examples(arguments)
    signal.signal(signal.SIGTERM, _interrupt)  # `make` passes it on; end as with Ctrl-C
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except PeoplesegError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_FAILED


def with_examples(arguments: list[str]) -> list[str]:
    """The arguments with the example images after `segment`, unless they name images."""
    if arguments[0] == "segment" and (len(arguments) == 1 or arguments[1].startswith("-")):
        return ["segment", *(str(path) for path in example_images()), *arguments[1:]]
    return arguments


def _run(arguments: list[str]) -> int:
    http_port, grpc_port, metrics_port = free_ports(3)
    log_file = Path(tempfile.gettempdir()) / f"peopleseg-demo-{os.getpid()}.log"
    start = time.monotonic()
    print("starting the server ...", flush=True)
    with EmbeddedServer(
        model_repository=MODEL_REPOSITORY,
        log_file=log_file,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    ) as server:
        server.wait_until_ready(timeout_s=READY_TIMEOUT_S)
        print(f"server ready after {time.monotonic() - start:.1f} s", flush=True)
        code = command([*arguments, "--url", server.grpc_url])
        if (status := server.poll()) is not None:
            print(f"peopleseg: the server ended ({describe_status(status)})", file=sys.stderr)
    if code != EXIT_OK:
        print(f"the server's log is {log_file}", file=sys.stderr)
        return code
    log_file.unlink(missing_ok=True)
    if "--out" in arguments:
        out = Path(arguments[arguments.index("--out") + 1]).resolve()
        print(f"the images and the results are in {out}")
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
