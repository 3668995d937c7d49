"""The configs on disk: written together, and mended after a kill by what the record says.

What a server serves after its next start is what these files say. They change in one place only,
between the record's lines `decided` and `serving`, so whoever finds `decided` without `serving`
finishes the writing (`mend`), and whoever finds neither has nothing to mend.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from peopleseg.releases import journal, lock
from peopleseg.releases.errors import ReadOnly, ReleaseError
from peopleseg.releases.journal import Journal, Record
from peopleseg.releases.plan import (
    Kept,
    Versions,
    current_versions,
    ensembles_of,
    kept_together,
    loaded_versions,
    read_config,
    with_policy,
)
from peopleseg.repository.model_folder import config_files
from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.systems.known import ENSEMBLES, SYSTEMS, system_named
from peopleseg.systems.rendered import files_of_other_lengths
from peopleseg.systems.system import System

LOCK_WAIT_S = 30.0  # of a server that starts, for a release that is going on
_KEEP = ".gitkeep"  # in an ensemble's version folder, which git would drop without it

Files = dict[Path, str]
OnStage = Callable[[str], None]  # is told the name of each stage that has ended

FINISHED = "finished after an interruption"  # the reason in the record of what `mend` finished


def kept_on(repository: Path, attempts: list[Record], system: System) -> dict[str, list[int]]:
    """Versions of each step that a server of this repository has loaded for a system.

    When all is well. By the record, because a release writes the one config of a step that its
    server uses; before the system's first release, by each step's config.pbtxt.
    """
    versions = current_versions(repository, system)
    own = journal.of_system(attempts, system.name)
    kept = journal.kept_now(own) if own else _kept_at_start(repository, attempts, versions)
    return kept_together(versions, kept)


def kept_besides(
    repository: Path, attempts: list[Record], kept: Kept, system: System
) -> dict[str, list[int]]:
    """Versions that are loaded when a system keeps these: others may share its steps."""
    others = (one for one in SYSTEMS if one is not system)
    return kept_together(kept, *(kept_on(repository, attempts, one) for one in others))


def kept_by_all(repository: Path, attempts: list[Record]) -> dict[str, list[int]]:
    """Versions of each step that a server of this repository has loaded when all is well."""
    return kept_together(*(kept_on(repository, attempts, system) for system in SYSTEMS))


def _kept_at_start(
    repository: Path, attempts: list[Record], versions: Versions
) -> dict[str, list[int]]:
    """By the configs; what these load of a step that another system has released is that one's."""
    released = {step for record in attempts for step in record.kept}
    own = versions.keys() - released
    return {step: loaded_versions(repository / step / CONFIG_FILE) for step in own}


def step_files(repository: Path, kept: Kept) -> Files:
    """Every config of every step, with the policy that loads these versions, where it differs."""
    files = {}
    for step, versions in kept.items():
        for path in config_files(repository / step):
            text = path.read_text()
            if (changed := with_policy(text, versions)) != text:
                files[path] = changed
    return files


def ensemble_files(repository: Path, wanted: Mapping[str, str]) -> Files:
    """The ensembles' configs that differ from those on disk."""
    return {
        repository / name / CONFIG_FILE: text
        for name, text in wanted.items()
        if read_config(repository, name) != text
    }


def prepare(repository: Path, files: Files) -> None:
    """Put new texts on the disk already, so that `put_in_place` is only renames."""
    for path, text in files.items():
        with _prepared(repository, path).open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def put_in_place(
    repository: Path, files: Files, on_file: Callable[[Path], None] = lambda path: None
) -> None:
    """Let prepared texts take their files' places, one rename each."""
    for path in files:
        if path.parent.name in ENSEMBLES:
            _add_version_folder(path.parent)
        os.replace(_prepared(repository, path), path)
        on_file(path)


def discard_prepared(repository: Path) -> None:
    """Remove prepared texts that a refused or killed release left."""
    for path in repository.glob(".*.prepared"):
        path.unlink(missing_ok=True)


def write(
    repository: Path,
    system: System,
    versions: Versions,
    kept: Kept,
    on_stage: OnStage = lambda stage: None,
) -> None:
    """Make the repository serve these versions of a system from a server's next start on.

    Repeated, it changes nothing.
    """
    wanted = ensembles_of(repository, system, versions)
    attempts = Journal(repository).attempts()
    files = step_files(repository, kept_besides(repository, attempts, kept, system))
    ensembles = ensemble_files(repository, wanted)
    prepare(repository, files | ensembles)
    put_in_place(repository, files)  # what is pinned has to be loaded, so the policies go first
    on_stage("policies written")
    put_in_place(repository, ensembles, lambda path: on_stage(f"{path.parent.name} written"))
    remove_others(repository, system, wanted)


def remove_others(repository: Path, system: System, wanted: Mapping[str, str]) -> None:
    """Remove a system's ensembles that are not wanted: a config, and an empty version folder."""
    for name in (one.name for one in system.ensembles):
        folder = repository / name
        if name not in wanted and folder.is_dir():
            (folder / CONFIG_FILE).unlink(missing_ok=True)  # first: without it, no ensemble
            shutil.rmtree(folder)


def recover(repository: Path, wait_s: float = 0.0, others: Sequence[str] = ()) -> Record | None:
    """Mend what is on disk before a server starts on the repository; see `mend`.

    Also gives every config of a step the policy of the serving release: a release through a running
    server writes only those that this server uses. Nothing is written where nothing is to be
    mended, where the repository is read-only, and while others, the servers named, run on it: a
    config that changes under them makes their next release load the step anew.

    Waits at most wait_s seconds for a release that goes on. Raises Locked, ReleaseError for a
    record or a config that cannot be read, and ReleaseError or ReadOnly for configs that a killed
    release left half written and that may not be written now.
    """
    lock.wait_until_free(repository, wait_s)
    last = journal.unfinished(Journal(repository).attempts())
    half_written = last is not None and last.result != journal.STARTED
    if last is None and not files_behind(repository):
        return None
    if others and last and half_written:
        raise ReleaseError(
            f"{last.action} {last.name} of {repository} was interrupted, and {', '.join(others)} "
            "serves it: repeat it through that server, or stop that server, then start this one"
        )
    try:
        return None if others else _brought_up_to_date(repository, wait_s)
    except ReadOnly:
        if half_written:
            raise
        return None


def _brought_up_to_date(repository: Path, wait_s: float) -> Record | None:
    with lock.held(repository, wait_s):
        mended = mend(repository)
        files = files_behind(repository)
        prepare(repository, files)
        put_in_place(repository, files)
        return mended


def files_behind(repository: Path) -> Files:
    """Configs that do not follow the serving releases, with their new texts.

    Of the steps whose configs load different versions, and those for TensorRT's provider whose
    lengths are not those of what serves; none before the first release.
    """
    attempts = Journal(repository).attempts()
    if not attempts:
        return {}
    kept = kept_by_all(repository, attempts)
    apart = {step: versions for step, versions in kept.items() if _disagree(repository, step)}
    of_other_lengths = {
        path: with_policy(text, kept.get(path.parents[1].name, ()))
        for path, text in files_of_other_lengths(repository).items()
    }
    return step_files(repository, apart) | of_other_lengths


def mend(repository: Path) -> Record | None:
    """Finish or undo on disk what a killed release began; the record of that release, or None.

    A release that was decided is finished, one that was not leaves the old versions. The lock has
    to be held.
    """
    discard_prepared(repository)
    records = Journal(repository)
    last = journal.unfinished(records.attempts())
    if last is None:
        return None
    system = released_system(last)
    if last.result == journal.DECIDED:
        write(repository, system, last.versions, last.kept)
        return records.append(replace(last, result=journal.SERVING, reason=FINISHED))
    if last.result == journal.RETURNING:
        write(repository, system, last.before, last.kept_before)
    reason = last.reason or "interrupted"
    return records.append(replace(last, result=journal.REFUSED, reason=reason))


def released_system(record: Record) -> System:
    """The system of a record. Raises ReleaseError for one that there is not."""
    try:
        return system_named(record.system)
    except KeyError as error:
        raise ReleaseError(
            f"release {record.number} {record.name} is of the system {record.system}, which this "
            "peopleseg does not have; use the one that released it"
        ) from error


def _disagree(repository: Path, step: str) -> bool:
    """Whether the configs of a step load different versions."""
    policies = {tuple(loaded_versions(path)) for path in config_files(repository / step)}
    return len(policies) > 1


def _add_version_folder(ensemble_folder: Path) -> None:
    keep = ensemble_folder / "1" / _KEEP
    keep.parent.mkdir(parents=True, exist_ok=True)
    keep.touch()


def _prepared(repository: Path, path: Path) -> Path:
    """Not beside the file: Triton would take it for a changed model, and load all of it again.

    Named by a digest of the path, because the path itself may be longer than a name may be.
    """
    digest = hashlib.sha256(os.fsencode(path.relative_to(repository))).hexdigest()[:16]
    return repository / f".{digest}.prepared"
