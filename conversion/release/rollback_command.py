"""Serve an earlier release again.

  peopleseg rollback
  peopleseg rollback better-head --why "it misses children"
  peopleseg rollback 3

Without a name or number: the release before the one that serves; what served before the first
release is called `initial`. The release before stays loaded, so going back to it takes only the
swap of all ensembles in one call, whose time is printed. An older one is loaded and tried first.
Rolling back twice goes back two releases; `peopleseg rollback NAME` also goes forward again. Each
system has releases of its own.

Exit code 0 when the release serves, 1 when it does not come up or the server cannot be reached, 2
for wrong usage.
"""

import argparse
import time
from pathlib import Path

from conversion.release.operations import rollback
from conversion.release.options import add_release_options, add_system_option, place_of
from peopleseg.releases import journal
from peopleseg.releases.errors import WrongRelease
from peopleseg.systems.known import SYSTEMS, system_named
from peopleseg.systems.system import System


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg rollback`."""
    parser.add_argument(
        "release", nargs="?", metavar="RELEASE", help="name or number (the one before)"
    )
    add_release_options(parser)
    add_system_option(parser, "where several were released")


def run(args: argparse.Namespace) -> int:
    """Roll back, and print what serves then. Raises ReleaseError."""
    begin = time.perf_counter()
    with place_of(args, _system(args.model_repository, args.system)) as place:
        record = rollback(place, args.release, why=args.why)
    took = f"the whole command took {time.perf_counter() - begin:.2f} s"
    where = f"{args.model_repository}, from the next start on" if args.offline else args.url
    if record.action == journal.RELEASE:  # nothing was done
        print(f"release {record.number} {record.name} serves already at {where}")
        return 0
    swap = f"; it took effect in {record.swap_ms:g} ms" if record.swap_ms is not None else ""
    print(f"release {record.restores} {record.name} serves again at {where}{swap}; {took}")
    if record.reason:
        print(f"  {record.reason}")
    return 0


def _system(repository: Path, named: str | None) -> System:
    """The one that was released. Raises WrongRelease where several were, ReleaseError."""
    if named:
        return system_named(named)
    attempts = journal.Journal(repository).attempts()
    released = [one for one in SYSTEMS if journal.of_system(attempts, one.name)] or list(SYSTEMS)
    if len(released) > 1:
        names = " and ".join(system.name for system in released)
        raise WrongRelease(f"{names} were released; say with --system which is to go back")
    return released[0]
