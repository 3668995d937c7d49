"""Model control, which can run code, is closed to other machines unless they have the key."""

import argparse
import ipaddress
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from peopleseg.releases.admin_key import VARIABLE, read_admin_key

_CLOSED = "model-repository,shared-memory,trace,logging"  # Triton's names of what can harm
_HTTP = "--http-restricted-api"
_OPTIONS = ("--grpc-restricted-protocol", _HTTP)
_CONTROL = "model-repository"
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


def control_headers(triton_arguments: Sequence[str]) -> dict[str, str]:
    """The header that opens model control over HTTP of a server with these arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(_HTTP, action="append", default=[])
    for restricted in parser.parse_known_args(triton_arguments)[0].http_restricted_api:
        closed, _, header = restricted.partition(":")
        name, equals, secret = header.partition("=")
        if equals and _CONTROL in closed.split(","):
            return {name: secret}
    return {}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
