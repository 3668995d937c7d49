"""Delete old versions of models, never one that a kept release uses.

  peopleseg prune --keep 3 --dry-run
  peopleseg prune --keep 3

Kept are the versions of the last N releases, of the serving one and the one before it, and those
that were never released and are newer. Nothing but version folders is deleted.
"""

import argparse
import sys

from conversion.release.errors import ReleaseError
from conversion.release.options import add_repository_option
from conversion.release.prune import prune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg prune`."""
    parser.add_argument(
        "--keep", type=_count, required=True, metavar="N", help="keep the last N releases"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    add_repository_option(parser)


def run(args: argparse.Namespace) -> int:
    """Delete, and print what. Returns 1 when somebody is releasing."""
    try:
        found = prune(args.model_repository, args.keep, dry_run=args.dry_run)
    except ReleaseError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    for old in found:
        print(f"{'would delete' if args.dry_run else 'deleted'} {old.step}/{old.version}")
    if not found:
        print("nothing to delete")
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of releases, 1 or more")
    return int(text)
