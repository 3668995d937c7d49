"""Which model repository a subcommand means."""

import argparse
from pathlib import Path

from peopleseg.cli.output_option import folder_to_write
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
