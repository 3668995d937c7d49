"""Delete old versions of models, never one that a kept release uses.

  peopleseg prune --keep 3 --dry-run
  peopleseg prune --keep 3

Kept are the versions of the last N releases, of the serving one and the one before it, and those
that were never released and are newer. Nothing but version folders is deleted.
"""

from dataclasses import dataclass
from typing import Annotated

from conversion.release.options import WaitOption
from peopleseg.cli.options import Count, Help, RepositoryOption
from peopleseg.releases.prune import prune


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption, WaitOption):
    keep: Annotated[Count, Help("the last so many releases")]
    dry_run: Annotated[bool, Help("only print what would be deleted")] = False


def run(args: Options) -> int:
    """Delete, and print what. Raises Locked where somebody is releasing, ReleaseError."""
    found = prune(args.model_repository, args.keep, dry_run=args.dry_run, wait_s=args.wait)
    for old in found:
        print(f"{'would delete' if args.dry_run else 'deleted'} {old.step}/{old.version}")
    if not found:
        print("nothing to delete")
    return 0
