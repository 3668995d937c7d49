"""Start a server, keep it serving, and end with it: `peopleseg serve` and the container alike.

One process: its main thread starts the server and keeps it serving, others answer the health port.
"""

import logging
import signal
from collections.abc import Callable
from types import FrameType

from peopleseg.releases.errors import ReleaseError
from serving.control import reachable
from serving.errors import PortInUseError, ServerError
from serving.health.expected import Expected
from serving.health.keeper import Keeper
from serving.health.readiness import Readiness
from serving.health.sidecar import READYZ, Sidecar
from serving.health.state import State
from serving.mending import name_others
from serving.ports import check_ports
from serving.server import GRACE_S, Server

HEALTH_PORT = 8003
_LOG = logging.getLogger(__name__)


def run(
    server: Server,
    health_port: int,
    ready_timeout_s: float,
    on_ready: Callable[[str], None] = lambda readyz_url: None,
) -> int:
    """Serve until a signal ends it (exit code 0), or until it cannot (1, which is logged).

    on_ready: is told the address of `/readyz` once the server is ready.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    state, expected = State(), Expected(server)
    readiness = Readiness(server, expected, state)
    try:
        _check_ports(server, health_port)
        with Sidecar(server.host, health_port, state, readiness):
            try:
                server.start()
                _LOG.info("loading %s; %s", ", ".join(server.models), server.where_it_logs)
                server.wait_until_ready(ready_timeout_s)
                state.has_started = True
                readiness.begin_anew()
                readiness.watch()
                on_ready(f"http://{reachable(server.host)}:{health_port}{READYZ}")
                Keeper(server, expected, readiness, state, ready_timeout_s).keep()
            except KeyboardInterrupt:
                _LOG.info("stopping")
            finally:
                state.is_stopping = True
                server.stop(server.exit_timeout_s + GRACE_S + 1)
    except (ServerError, ReleaseError) as error:
        _LOG.error("%s", error)
        return 1
    return 0


def _check_ports(server: Server, health_port: int) -> None:
    """All of them, before the health port is taken. Raises PortInUseError."""
    try:
        check_ports(server.host, {**server.ports, "health": health_port})
    except PortInUseError:
        name_others(server.model_repository)  # one of them may have it
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End `run` once; a second signal must not cut its cleaning up short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
