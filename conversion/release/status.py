"""What serves: by the record, by the files on disk, and by the server itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conversion.gate import MANIFESTS, GateError, recorded
from conversion.release.server import ModelControl
from peopleseg.releases import journal, lock
from peopleseg.releases.errors import ControlError
from peopleseg.releases.journal import Journal, Record
from peopleseg.releases.pins import edited_pins
from peopleseg.releases.plan import current_versions, require_ensembles
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.system import System
from peopleseg.systems.wiring import pinned, served


@dataclass(frozen=True)
class StepStatus:
    """Versions of one step."""

    step: str
    release: int | None  # that the ensembles on disk pin
    serving: int | None  # that the server answers with
    loaded: list[int]
    on_disk: list[int]


@dataclass(frozen=True)
class SystemStatus:
    """What serves of one system."""

    system: str
    release: Record | None  # None before the first one
    since: str | None  # UTC, ISO 8601: when what serves now began to
    by: str | None  # who released it, or rolled back to it
    accuracy: dict[str, Any]  # of what serves: as the release was measured, else of the manifests
    measured_on: str
    steps: list[StepStatus]


@dataclass(frozen=True)
class Status:
    """A repository, and the server that serves it."""

    systems: list[SystemStatus]  # those of which the repository has an ensemble
    problems: list[str]  # what is not as it should be, each with the next step
    releasing: str | None  # who holds the lock now
    history: list[Record]  # every attempt

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(repository: Path, control: ModelControl | None) -> Status:
    """Ask the server, if there is one, and read the disk. Raises ReleaseError for files alone."""
    require_ensembles(repository)
    attempts = Journal(repository).attempts()
    versions = [(system, current_versions(repository, system)) for system in SYSTEMS]
    here = [(system, pins) for system, pins in versions if pins]
    serving: dict[str, dict[str, int]] = {}
    loaded: dict[str, set[int]] = {}
    pinned_here = {system.name: pins for system, pins in here}
    problems = [*_unfinished(attempts), *edited_pins(attempts, pinned_here)]
    if control:
        try:
            for system, _ in here:
                serving[system.name], found = _served_versions(repository, system, control)
                problems += found
            loaded = control.loaded()
        except ControlError as error:
            problems.append(str(error))
    systems = [
        _of_system(repository, system, pins, attempts, serving.get(system.name, {}), loaded)
        for system, pins in here
    ]
    return Status(systems, problems, lock.holder(repository), list(attempts))


def _of_system(
    repository: Path,
    system: System,
    pins: Mapping[str, int],
    attempts: list[Record],
    serving: Mapping[str, int],
    loaded: Mapping[str, set[int]],
) -> SystemStatus:
    steps = [
        StepStatus(
            step,
            pins.get(step),
            serving.get(step),
            sorted(loaded.get(step, ())),
            versions_in(repository / step),
        )
        for step in system.steps
        if step in pins or versions_in(repository / step)
    ]
    own = journal.of_system(attempts, system.name)
    release, change = journal.serving(own), journal.last_change(own)
    accuracy, measured_on = _accuracy(repository, release, pins)
    return SystemStatus(
        system.name,
        release,
        change.at if change else None,
        change.who if change else None,
        accuracy,
        measured_on,
        steps,
    )


def _accuracy(
    repository: Path, release: Record | None, pins: Mapping[str, int]
) -> tuple[dict[str, Any], str]:
    """Metrics, and what they were measured on. A version that cannot be read has none."""
    if release and (found := release.metrics.get("candidate")):
        return found, str(release.metrics.get("measured_on"))
    try:
        return recorded(repository, pins), MANIFESTS
    except GateError:
        return {}, MANIFESTS


def _served_versions(
    repository: Path, system: System, control: ModelControl
) -> tuple[dict[str, int], list[str]]:
    """Step to version as the server's ensembles pin them, and where that is not what is on disk."""
    versions: dict[str, int] = {}
    problems = []
    for ensemble in served(repository, [system]):
        config = control.config(ensemble)
        if config is None:
            problems.append(f"the server does not serve {ensemble}; see its log")
            continue
        found = pinned(config)
        versions |= found
        wanted = pinned((repository / ensemble / "config.pbtxt").read_text())
        behind = sorted(step for step in wanted if found.get(step) != wanted[step])
        if behind:
            problems.append(
                f"the server's {ensemble} has other versions of {', '.join(behind)} than the disk; "
                "repeat the release, or roll back"
            )
    return versions, problems


def _unfinished(attempts: list[Record]) -> list[str]:
    last = journal.unfinished(attempts)
    if last is None:
        return []
    return [
        f"{last.action} {last.number} {last.name} is {last.result}, but not finished; "
        "if nobody is at it, repeat it"
    ]
