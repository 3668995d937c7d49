"""What the container runs: Triton with every ensemble of a model repository.

  python3 -m serving.container /models [TRITON ARGUMENT ...]

A release that was killed between two files is finished, or undone, before Triton reads them. The
repository may be mounted read-only where there is none. Where PEOPLESEG_BIND opens the ports to
other machines, model control takes the key PEOPLESEG_ADMIN_KEY.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from peopleseg.cli.logs import log_to_stderr
from peopleseg.errors import PeoplesegError
from peopleseg.releases import servers
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.wiring import served
from serving.exposure import exposure
from serving.loading import cache_arguments, load_arguments
from serving.mending import mend_unless_served, name_others
from serving.ports import check_triton_ports

_LOG = logging.getLogger("serving.container")  # also as a program
TRITON = "tritonserver"
BIND_VARIABLE, LOOPBACK = "PEOPLESEG_BIND", "127.0.0.1"  # where compose opens the ports


def main(argv: Sequence[str]) -> int:
    """Become Triton. Returns, 1, when the repository cannot be served."""
    log_to_stderr()
    repository = Path(argv[0])
    try:
        exposed = exposure(os.environ.get(BIND_VARIABLE, LOOPBACK), argv[1:])
        others = name_others(repository)
        ports = check_triton_ports(argv[1:])
        mend_unless_served(repository, others)
    except PeoplesegError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(
            f"{repository} cannot be checked for a release that was interrupted: {error}; "
            f"mount it so that user {os.getuid()} may read it, and write where one was"
        )
    ensembles = served(repository, SYSTEMS)
    if not ensembles:
        return _refuse(f"{repository} has no ensemble to serve")
    if announcement := servers.announce(repository, ports):
        announcement.keep_across_exec()
    if exposed.said:
        _LOG.warning("%s", exposed.said)
    loaded = [*load_arguments(ensembles), *cache_arguments(argv[1:])]
    arguments = [f"--model-repository={repository}", *loaded, *argv[1:], *exposed.arguments]
    os.execvp(TRITON, [TRITON, *arguments])


def _refuse(reason: str) -> int:
    _LOG.error("%s", reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
