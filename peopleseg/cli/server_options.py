"""Options of commands that ask a server."""

import argparse

from peopleseg.client.wire import DEFAULT_URL, grpc_address
from peopleseg.errors import InvalidInput
from peopleseg.systems.people.selection import requested_min_score

READY_TIMEOUT_S = 5.0  # for a server that is about to be up


def add_url_option(parser: argparse.ArgumentParser) -> None:
    """Add --url, the host:port of the server's gRPC port."""
    parser.add_argument(
        "--url",
        type=_address,
        default=DEFAULT_URL,
        metavar="HOST:PORT",
        help="the server's gRPC port (%(default)s)",
    )


def _address(text: str) -> str:
    try:
        return grpc_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def min_score_of(text: str) -> float:
    """argparse type: a min_score that a request may ask for."""
    try:
        return requested_min_score(float(text))
    except (InvalidInput, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
