"""Which server a subcommand asks."""

import argparse

from peopleseg.client.wire import DEFAULT_URL, grpc_address

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
