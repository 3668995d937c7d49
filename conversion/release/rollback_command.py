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

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from conversion.release.operations import rollback
from conversion.release.options import ReleaseOptions, place_of
from peopleseg.cli.options import POSITIONAL, Help
from peopleseg.releases import journal
from peopleseg.releases.errors import WrongRelease
from peopleseg.systems.known import SYSTEMS, system_named
from peopleseg.systems.system import System


@dataclass(frozen=True, kw_only=True)
class Options(ReleaseOptions):
    release: Annotated[str | None, POSITIONAL, Help("name or number (the one before)")] = None


def run(args: Options) -> int:
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
