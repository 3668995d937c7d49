"""Model control, which can run code, is closed to other machines unless they have the key."""

import ipaddress
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from peopleseg.releases.admin_key import VARIABLE, read_admin_key

_CLOSED = "model-repository,shared-memory,trace,logging"  # Triton's names of what can harm
_OPTIONS = ("--grpc-restricted-protocol", "--http-restricted-api")
_NAME = "admin-key"  # of the header, where nobody chose one


class Exposure(NamedTuple):
    """What a server is started with, beside the arguments that it was given."""

    arguments: tuple[str, ...] = ()  # of Triton
    said: str = ""  # for who starts it


def exposure(host: str, triton_arguments: Sequence[str]) -> Exposure:
    """Of a server that listens on `host`; an option that `triton_arguments` have stays as it is.

    Raises ControlError for a key in the environment that is none.
    """
    given = "\n".join(triton_arguments)
    missing = [option for option in _OPTIONS if option not in given]
    if is_loopback(host) or not missing:
        return Exposure()
    key = read_admin_key()
    name, secret = key or (_NAME, secrets.token_urlsafe())
    hint = f"set {VARIABLE}=NAME:SECRET here and for `peopleseg release` to use it"
    return Exposure(
        tuple(f"{option}={_CLOSED}:{name}={secret}" for option in missing),
        f"model control is restricted, as other machines reach {host}; "
        + (f"{VARIABLE} is its key" if key else hint),
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
