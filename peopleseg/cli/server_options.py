"""Options of commands that ask a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter, Token

from peopleseg.cli.options import Help, checked
from peopleseg.client.wire import DEFAULT_URL, grpc_address
from peopleseg.errors import InvalidInput
from peopleseg.systems.people.selection import requested_min_score

READY_TIMEOUT_S = 5.0  # for a server that is about to be up


def _address(_: object, tokens: Sequence[Token]) -> str:
    return grpc_address(tokens[0].value)


def _not_to_be_asked_for(min_score: float) -> str | None:
    try:
        requested_min_score(min_score)
    except InvalidInput as error:
        return str(error)
    return None


Address = Annotated[str, Parameter(converter=_address)]  # host:port, however it is written
MinScore = Annotated[float, checked(_not_to_be_asked_for)]  # that a request may ask for


@dataclass(frozen=True, kw_only=True)
class UrlOption:
    url: Annotated[Address, Help("the server's gRPC port")] = DEFAULT_URL
