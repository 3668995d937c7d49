"""Which ports a server listens on, and whether it can."""

import argparse
import random
import socket
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from serving.errors import PortInUseError, ServerStartError

TRITON_PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}  # where nothing else is said

# Below those that Linux gives to whoever asks for any port, on either side of a connection: a
# server listens seconds after its ports were chosen, and nobody is to get one of them meanwhile.
_OWN_CHOICE = range(20000, 32768)
_random = random.SystemRandom()  # no seed of the caller's: two processes choose differently


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Different ports of this machine that nothing listens on now."""
    ports = _random.sample(_OWN_CHOICE, len(_OWN_CHOICE))
    return list(islice((port for port in ports if why_not_free(host, port) is None), count))


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """ports: by service, "http" and so on. Raises PortInUseError for the first that is taken."""
    seen: dict[int, str] = {}
    for service, port in ports.items():
        option = f"--{service}-port"
        if not 0 < port < 65536:
            raise ServerStartError(f"{option} must be between 1 and 65535, got {port}")
        if port in seen:
            raise PortInUseError(f"--{seen[port]}-port and {option} are both {port}")
        seen[port] = service
        if (why := why_not_free(host, port)) is not None:
            raise PortInUseError(
                f"port {port} on {host} cannot be used ({why}); choose another with {option}"
            )


def why_not_free(host: str, port: int) -> str | None:
    """What keeps a server from listening there, in the system's words; None: nothing."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


def check_triton_ports(arguments: Sequence[str]) -> dict[str, int]:
    """The ports by service that Triton listens on with these arguments, as `check_ports` does.

    A service that is off, or that shares its port, is left out.
    """
    given = _port_options(arguments)
    own = {
        service: address
        for service, address in triton_addresses(arguments).items()
        if not _is_true(given[f"reuse_{service}_port"])
    }
    for service, (host, port) in own.items():
        check_ports(host, {service: port})
    return {service: port for service, (_, port) in own.items()}


def triton_addresses(arguments: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Host and port of each service that Triton has with these arguments."""
    given = _port_options(arguments)
    same = {"metrics": given["http_address"]}  # where it has no address of its own
    return {
        service: (
            given[f"{service}_address"] or same.get(service) or "0.0.0.0",
            given[f"{service}_port"],
        )
        for service in TRITON_PORTS
        if _is_true(given[f"allow_{service}"])
    }


def _port_options(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for service, port in TRITON_PORTS.items():
        parser.add_argument(f"--{service}-port", type=int, default=port)
        parser.add_argument(f"--{service}-address")
        parser.add_argument(f"--allow-{service}", default="true")
        parser.add_argument(f"--reuse-{service}-port", default="false")
    return vars(parser.parse_known_args(arguments)[0])


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "1")
