"""What the container runs: Triton with every ensemble of a model repository, kept serving.

  python3 -m serving.container /models [--health-port=8003] [--ready-timeout-s=1800] [TRITON'S ...]

A release that was killed between two files is finished, or undone, before Triton reads them. The
repository may be mounted read-only where there is none. Where PEOPLESEG_BIND opens the ports to
other machines, model control takes the key PEOPLESEG_ADMIN_KEY.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from peopleseg.cli.logs import log_to_stderr
from peopleseg.errors import PeoplesegError
from serving import running
from serving.errors import ServerStartError
from serving.exposure import exposure
from serving.loading import cache_arguments, load_arguments
from serving.ports import check_triton_ports, triton_addresses
from serving.server import Server

_LOG = logging.getLogger("serving.container")  # also as a program
TRITON = "tritonserver"
BIND_VARIABLE, LOOPBACK = "PEOPLESEG_BIND", "127.0.0.1"  # where compose opens the ports
READY_TIMEOUT_S = 1800.0  # an engine may be built at the first start
EXIT_TIMEOUT_S = 30.0  # Triton's own, where its arguments do not say another


class ContainerServer(Server):
    """Triton of NVIDIA's image, whose log is the container's."""

    choose_another = "mount another one, or name its folder first in the container's command"
    stub_backends = ("python",)
    stub_memory_bytes = 1 << 20  # Triton's own default

    def __init__(self, repository: Path, arguments: Sequence[str]) -> None:
        """arguments: Triton's own. Raises ServerStartError for some that cannot be."""
        addresses = triton_addresses(arguments)
        if "http" not in addresses:
            raise ServerStartError(
                "the server is kept serving by its port of HTTP: leave --allow-http=false out"
            )
        super().__init__(
            model_repository=repository,
            log_file=None,
            host=addresses["http"][0],
            ports={service: port for service, (_, port) in addresses.items()},
            models=None,
            extra_arguments=arguments,
        )
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--exit-timeout-secs", type=float, default=EXIT_TIMEOUT_S)
        self.exit_timeout_s = parser.parse_known_args(arguments)[0].exit_timeout_secs

    def check(self) -> None:
        """Raises PortInUseError."""
        check_triton_ports(self.extra_arguments)

    def prepare(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        own = [*load_arguments(self.models), *cache_arguments(self.extra_arguments)]
        repository = f"--model-repository={self.model_repository}"
        return [TRITON, repository, *own, *self.extra_arguments], dict(os.environ)


def main(argv: Sequence[str]) -> int:
    """Serve until a signal ends it, 0, or until it cannot be kept serving, 1."""
    log_to_stderr()
    repository = Path(argv[0])
    parser = argparse.ArgumentParser(prog="serving.container", add_help=False, allow_abbrev=False)
    parser.add_argument("--health-port", type=int, default=running.HEALTH_PORT)
    parser.add_argument("--ready-timeout-s", type=float, default=READY_TIMEOUT_S)
    own, arguments = parser.parse_known_args(argv[1:])
    try:
        exposed = exposure(os.environ.get(BIND_VARIABLE, LOOPBACK), arguments)
        server = ContainerServer(repository, [*arguments, *exposed.arguments])
        if exposed.said:
            _LOG.warning("%s", exposed.said)
        return running.run(server, own.health_port, own.ready_timeout_s)
    except PeoplesegError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(
            f"{repository} cannot be checked for a release that was interrupted: {error}; "
            f"mount it so that user {os.getuid()} may read it, and write where one was"
        )


def _refuse(reason: str) -> int:
    _LOG.error("%s", reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
