"""Delete version folders that no release needs any more."""

import shutil
from pathlib import Path
from typing import NamedTuple

from peopleseg.releases import disk, journal, lock
from peopleseg.releases.journal import Journal, Record
from peopleseg.releases.plan import (
    current_versions,
    kept_together,
    loaded_versions,
    require_ensembles,
)
from peopleseg.repository.model_folder import config_files, versions_in
from peopleseg.systems.known import STEPS, SYSTEMS

_TRASH = ".pruned"  # below the repository; a folder is moved there whole before it is deleted


class Old(NamedTuple):
    """A version that nothing needs."""

    step: str
    version: int


def prune(repository: Path, keep: int, *, dry_run: bool = False, wait_s: float = 0.0) -> list[Old]:
    """Delete what `old_versions` finds, or only find it. Raises Locked, ReleaseError."""
    require_ensembles(repository)
    with lock.held(repository, wait_s):
        if not dry_run:
            disk.mend(repository)
        found = old_versions(repository, Journal(repository).attempts(), keep)
        if not dry_run:
            for old in found:
                _delete(repository, old)
            shutil.rmtree(repository / _TRASH, ignore_errors=True)
    return found


def old_versions(repository: Path, attempts: list[Record], keep: int) -> list[Old]:
    """Versions that are in none of the last `keep` releases, the serving one and the one before.

    A version newer than every released one is not old: its release is still to come. Nor is one
    that a server loads at its start.
    """
    systems = [journal.of_system(attempts, system.name) for system in SYSTEMS]
    steps = [step for step in STEPS if config_files(repository / step)[0].is_file()]
    needed = kept_together(
        *(current_versions(repository, system) for system in SYSTEMS),
        disk.kept_by_all(repository, attempts),
        *(record.versions for own in systems for record in _last(own, keep)),
        *({s: loaded_versions(path)} for s in steps for path in config_files(repository / s)),
    )
    served = (record.versions for own in systems for record in journal.releases(own))
    newest = {step: max(n) for step, n in kept_together(needed, *served).items() if n}
    return [
        Old(step, version)
        for step in steps
        for version in versions_in(repository / step)
        if version not in needed.get(step, ()) and version < newest.get(step, 0)
    ]


def _last(attempts: list[Record], keep: int) -> list[Record]:
    before = journal.release_before(attempts)
    last = journal.releases(attempts)[-keep:] if keep else []
    return [*last, *([before] if before else [])]


def _delete(repository: Path, old: Old) -> None:
    """In one rename: a version is there with all of its files, or not at all."""
    trash = repository / _TRASH
    trash.mkdir(exist_ok=True)
    place = trash / f"{old.step}.{old.version}"
    shutil.rmtree(place, ignore_errors=True)
    (repository / old.step / str(old.version)).rename(place)
