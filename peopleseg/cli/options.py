"""Options and types of options that several commands share."""

import argparse
from pathlib import Path

from peopleseg.cli.output import folder_to_write
from peopleseg.repository.place import MODEL_REPOSITORY


def add_repository_option(parser: argparse.ArgumentParser, *, writes: bool = False) -> None:
    """Add --model-repository, the folder of the models.

    writes: the command makes versions there, which is refused at once where it cannot be written.
    """
    parser.add_argument(
        "--model-repository",
        type=folder_to_write if writes else Path,
        default=str(MODEL_REPOSITORY),
        metavar="DIR",
        help="folder of the models (%(default)s)",
    )


def positive(text: str) -> int:
    """An option's whole number from 1 on; for argparse's `type`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def fraction(text: str) -> float:
    """An option's number from 0 to 1; for argparse's `type`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:  # nan too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
