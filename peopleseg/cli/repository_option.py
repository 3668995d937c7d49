"""Which model repository a subcommand means."""

import argparse
from pathlib import Path

from peopleseg.repository.place import MODEL_REPOSITORY


def add_repository_option(parser: argparse.ArgumentParser) -> None:
    """Add --model-repository, the folder of the models."""
    parser.add_argument(
        "--model-repository",
        type=Path,
        default=MODEL_REPOSITORY,
        metavar="DIR",
        help="folder of the models (%(default)s)",
    )
