"""Release and rollback: from what the operator asks for to the record's last line.

Both bring a repository, and the server that serves it, from the versions that serve now to others.
Repeated after whatever interrupted them they finish the job, or find it done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from conversion.release.examiner import Examiner
from conversion.release.server import ModelControl
from conversion.release.settle import settle
from conversion.release.transition import Offline, Online
from peopleseg.releases import disk, journal, lock
from peopleseg.releases.disk import OnStage
from peopleseg.releases.errors import ControlError, Refused, ReleaseError
from peopleseg.releases.journal import Journal, Record
from peopleseg.releases.plan import (
    changed_versions,
    current_versions,
    ensembles_of,
    kept_together,
    require_ensembles,
)
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.system import System
from peopleseg.systems.wiring import served

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class Place:
    """What system to release where, and what a release has to pass there."""

    system: System
    repository: Path
    control: ModelControl | None  # None: on disk alone, for a server that is not running
    examiner: Examiner
    on_stage: OnStage = lambda stage: None
    lock_wait_s: float = 0.0


def release(
    place: Place, name: str, changes: Mapping[str, int], *, why: str = "", force: bool = False
) -> Record:
    """Serve other versions of some steps; the record of the release that serves then.

    changes: version by step. force: also when it is less accurate than what serves, which the
    record says. A release that serves already is not repeated. Raises Refused, after which the old
    release serves, Locked, ControlError and ReleaseError.
    """
    _check_name(name)
    with lock.held(place.repository, place.lock_wait_s):
        attempts, here = _begin(place)
        before = current_versions(place.repository, place.system)
        versions = changed_versions(place.repository, place.system, before, changes)
        serving = journal.serving(journal.of_system(attempts, place.system.name))
        if versions == before:
            if serving and serving.name == name:
                return serving
            raise ReleaseError(
                f"{name} would change nothing: {serving.name if serving else 'the repository'} "
                "serves these versions already"
            )
        _check_unused(name, versions, journal.of_system(attempts, place.system.name))
        record = replace(_record(place, versions, attempts, here), name=name, why=why, forced=force)
        return _serve(place, record)


def rollback(place: Place, wanted: str | None = None, *, why: str = "") -> Record:
    """Serve an earlier release again; the record of the rollback.

    wanted: its name or number, None for the one before the serving one, or to finish a rollback
    that was killed, also when a server's start or another command has finished it meanwhile. Its
    accuracy is not measured again, so while its versions are still loaded this is no more than the
    swap. The record of a release that serves already comes back as it is. Raises as `release` does.
    """
    require_ensembles(place.repository)
    with lock.held(place.repository, place.lock_wait_s):
        attempts, here = _begin(place)
        own = journal.of_system(attempts, place.system.name)
        finished = _finished_meanwhile(place.repository, own)
        if finished and not wanted:
            return finished
        target = journal.find(own, wanted) if wanted else journal.release_before(own)
        if target is None:
            raise ReleaseError(
                f"there is no release of {place.system.name} before this one to go back to"
            )
        if not target.versions:
            raise ReleaseError(
                f"before its first release {place.system.name} served nothing; there is no "
                "release to go back to"
            )
        if target.versions == current_versions(place.repository, place.system):
            return target
        record = replace(
            _record(place, target.versions, attempts, here),
            action=journal.ROLLBACK,
            name=target.name,
            restores=target.number,
            metrics=target.metrics,
            why=why,
        )
        return _serve(place, record)


def _begin(place: Place) -> tuple[list[Record], list[str]]:
    """Finish what a killed command left; the attempts so far, and the ensembles that are served."""
    disk.mend(place.repository)
    attempts = Journal(place.repository).attempts()
    if place.control is None:
        return attempts, list(served(place.repository, SYSTEMS))
    return attempts, settle(place.repository, place.control, attempts)


def _finished_meanwhile(repository: Path, attempts: list[Record]) -> Record | None:
    """The rollback that was killed last, and finished since; only once, which the record notes."""
    last = attempts[-1] if attempts else None
    if last is None or last.action != journal.ROLLBACK or last.reason != disk.FINISHED:
        return None
    Journal(repository).append(replace(last, reason=f"{disk.FINISHED}, by repeating it"))
    return last


def _record(
    place: Place, versions: Mapping[str, int], attempts: list[Record], here: list[str]
) -> Record:
    """The record of an attempt that begins. here: ensembles that are served now."""
    repository, system = place.repository, place.system
    before = current_versions(repository, system)
    on_disk = served(repository, SYSTEMS)
    wanted = ensembles_of(repository, system, versions)
    changed = [path.parent.name for path in disk.ensemble_files(repository, wanted)]
    ensembles = [name for name in changed if name in here or name not in on_disk]
    if place.control and changed and not ensembles:  # none is changed when one only goes
        raise ReleaseError(
            f"{place.control.url} serves none of {', '.join(changed)}, which this changes; start "
            "it with one of them, or release without a server, with --offline"
        )
    return Record(
        number=attempts[-1].number + 1 if attempts else 1,
        name="",
        action=journal.RELEASE,
        versions=dict(versions),
        before=before,
        kept=kept_together(before, versions),
        kept_before=disk.kept_on(repository, attempts, system),
        ensembles=ensembles,
        system=system.name,
        who=journal.operator(),
        when=journal.now(),
    )


def _serve(place: Place, record: Record) -> Record:
    """Go through the stages; whatever way this ends, the record says so."""
    records = Journal(place.repository)
    reached = [""]

    def on_stage(stage: str) -> None:
        reached[0] = stage
        place.on_stage(stage)

    record = replace(record, offline=place.control is None)
    change = _change(place, records.append(record), on_stage)
    try:
        on_stage("started")
        if record.action == journal.RELEASE or not change.is_loaded():
            _examine(place, change, on_stage)
            change.try_out()
        change.swap()
    except BaseException as error:
        reason = _undone(change, error)
        refused = replace(change.record, result=journal.REFUSED, stage=reached[0], reason=reason)
        records.append(refused)
        if isinstance(error, ReleaseError):
            raise Refused(f"{record.name} is refused: {reason}") from error
        raise
    return _finished(change, records)


def _change(place: Place, record: Record, on_stage: OnStage) -> Online | Offline:
    if place.control is None:
        return Offline(place.repository, record, on_stage)
    return Online(place.repository, place.control, place.examiner, record, on_stage)


def _examine(place: Place, change: Online | Offline, on_stage: OnStage) -> None:
    """Put the metrics of the gate into the record, also of a refusal. Raises Refused."""
    record = change.record
    faults = place.examiner.faults(record.versions)
    if faults:
        raise Refused("; ".join(faults))
    on_stage("checked")
    if record.action == journal.ROLLBACK:  # it has passed the gate before
        return
    judgement = place.examiner.judge(record.before, record.versions)
    change.record = replace(record, metrics=judgement.metrics)
    if judgement.refusals and not record.forced:
        raise Refused("; ".join(judgement.refusals) + " (--force releases it all the same)")
    on_stage("measured")
    if judgement.refusals:
        change.record = replace(change.record, reason=f"forced: {'; '.join(judgement.refusals)}")


def _undone(change: Online | Offline, error: BaseException) -> str:
    """Put everything back; the reason of the refusal.

    Raises ReleaseError, and leaves the record as it is, when the disk could not be put back: then
    the next command does what the record says.
    """
    reason = str(error) or type(error).__name__
    try:
        change.undo()
    except ControlError as failure:
        reason += f"; and the server could not be brought back ({failure}): repeat a command"
    except OSError as failure:
        is_decided = change.record.result == journal.DECIDED
        raise ReleaseError(
            f"{change.record.name} failed: {reason}; and the disk could not be put back "
            f"({failure}): make room, then "
            + ("finish it and take it back by `peopleseg rollback`" if is_decided else "repeat it")
        ) from error
    return reason


def _finished(change: Online | Offline, records: Journal) -> Record:
    """Unload what is not needed any more; the last line of a release that serves."""
    record = replace(change.record, result=journal.SERVING, stage="")
    try:
        change.retire()
    except ControlError as error:  # it serves all the same; the next command unloads the rest
        record = replace(record, reason=f"older versions may still be loaded: {error}")
    return records.append(record)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == journal.INITIAL:
        raise ReleaseError(
            f"{name!r} is no name for a release; use letters, digits and . _ -, beginning with a "
            f"letter, and not {journal.INITIAL!r}"
        )


def _check_unused(name: str, versions: Mapping[str, int], attempts: list[Record]) -> None:
    for record in attempts:
        if record.name == name and record.result == journal.SERVING:
            if record.versions != dict(versions):
                raise ReleaseError(
                    f"release {record.number} is already called {name}, with other versions; "
                    "choose another name"
                )
