"""Model control, which can run code, is closed to other machines unless they have the key."""

import ipaddress
import secrets
from collections.abc import Sequence

from peopleseg.repository.admin_key import VARIABLE, read_admin_key

_CLOSED = "model-repository,shared-memory,trace,logging"  # Triton's names of what can harm
_OPTIONS = ("--grpc-restricted-protocol", "--http-restricted-api")
_NAME = "admin-key"  # of the header, where nobody chose one


class Exposure:
    """What a server that listens on `host` is started with beside `triton_arguments`.

    arguments: of Triton. said: for who starts it; empty where there is nothing to say. Raises
    ControlError for a key in the environment that is none.
    """

    def __init__(self, host: str, triton_arguments: Sequence[str]) -> None:
        self.arguments: list[str] = []
        self.said = ""
        own = any(one.startswith(_OPTIONS) for one in triton_arguments)
        if is_loopback(host) or own:
            return
        given = read_admin_key()
        name, secret = given or (_NAME, secrets.token_urlsafe())
        self.arguments = [f"{option}={_CLOSED}:{name}={secret}" for option in _OPTIONS]
        self.said = f"model control is restricted, as other machines reach {host}; "
        if given:
            self.said += f"{VARIABLE} is its key"
        else:
            self.said += f"set {VARIABLE}=NAME:SECRET here and for `peopleseg release` to use it"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
