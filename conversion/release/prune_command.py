"""Delete old versions of models, never one that a kept release uses.

  peopleseg prune --keep 3 --dry-run
  peopleseg prune --keep 3

Kept are the versions of the last N releases, of the serving one and the one before it, and those
that were never released and are newer. Nothing but version folders is deleted.
"""

import argparse

from conversion.release.options import add_wait_option
from peopleseg.cli.options import add_repository_option, positive
from peopleseg.releases.prune import prune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg prune`."""
    parser.add_argument(
        "--keep", type=positive, required=True, metavar="N", help="keep the last N releases"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    add_wait_option(parser)
    add_repository_option(parser)


def run(args: argparse.Namespace) -> int:
    """Delete, and print what. Raises Locked where somebody is releasing, ReleaseError."""
    found = prune(args.model_repository, args.keep, dry_run=args.dry_run, wait_s=args.wait)
    for old in found:
        print(f"{'would delete' if args.dry_run else 'deleted'} {old.step}/{old.version}")
    if not found:
        print("nothing to delete")
    return 0
