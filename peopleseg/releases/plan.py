"""Which files a set of versions means: the configs of the ensembles and the policies of the steps.

Everything follows from the versions: which ensembles there are (those all of whose steps have a
version), how they are wired (what the networks read) and what a server loads when it starts.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from peopleseg.releases.errors import ReleaseError
from peopleseg.repository.manifest import ArtifactError
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config_file
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.system import System
from peopleseg.systems.wiring import config_texts, served, serving_versions

Versions = Mapping[str, int]  # one of each step
Kept = Mapping[str, Collection[int]]  # those of each step that are loaded

_POLICY = re.compile(r"version_policy\s*:?\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")


def current_versions(repository: Path, system: System) -> dict[str, int]:
    """What the ensembles of a system on disk pin; nothing where it has none there.

    Raises ReleaseError when they do not agree.
    """
    try:
        return serving_versions(repository, system)
    except (OSError, ConfigError) as error:
        raise ReleaseError(f"{repository} cannot be released into: {error}") from error


def require_ensembles(repository: Path) -> None:
    """Raises ReleaseError for a folder in which nothing has been released or put."""
    if not served(repository, SYSTEMS):
        raise ReleaseError(
            f"{repository} has no ensemble; choose a model repository with --model-repository"
        )


def loaded_versions(config_file: Path) -> list[int]:
    """Versions that a server loads when it starts with this config of a step.

    Raises ReleaseError where it cannot be read.
    """
    try:
        config = parse_config_file(config_file)
    except (OSError, ConfigError) as error:
        raise ReleaseError(
            f"{config_file} cannot be read ({error}); see `peopleseg check`"
        ) from error
    return sorted(config.version_policy.specific.versions)


def changed_versions(
    repository: Path, system: System, serving: Versions, changes: Versions
) -> dict[str, int]:
    """The serving versions with changes, and with what an ensemble that they begin needs besides.

    Raises ReleaseError for a step that is not one, and for a version that is not on disk.
    """
    versions = dict(serving)
    for step, version in changes.items():
        if step not in system.steps:
            raise ReleaseError(
                f"{system.name} has no step {step!r}; its steps are {', '.join(system.steps)}"
            )
        if version not in (there := versions_in(repository / step)):
            known = ", ".join(map(str, there)) or "none"
            raise ReleaseError(
                f"{repository / step} has no version {version}; there are: {known}. "
                "Make one with `peopleseg export`, or of a Python step with "
                "`peopleseg new-step-version`"
            )
        versions[step] = version
    for step in changes.keys() - serving.keys():
        versions |= _first_needed(repository, system, step, versions)
    return versions


def ensembles_of(repository: Path, system: System, versions: Versions) -> dict[str, str]:
    """The ensembles of a system that these versions make up, with their config.pbtxt.

    Raises ReleaseError when it cannot be told what a network reads.
    """
    try:
        return config_texts(repository, system, versions)
    except ArtifactError as error:
        raise ReleaseError(f"a version does not tell what it reads: {error}") from error


def kept_together(*several: Versions | Kept) -> dict[str, list[int]]:
    """Versions of each step that any of them names."""
    kept: dict[str, set[int]] = {}
    for versions in several:
        for step, numbers in versions.items():
            kept.setdefault(step, set()).update({numbers} if isinstance(numbers, int) else numbers)
    return {step: sorted(numbers) for step, numbers in kept.items()}


def with_policy(text: str, versions: Collection[int]) -> str:
    """The text of a step's config whose server loads these versions when it starts."""
    numbers = ", ".join(map(str, sorted(versions)))
    policy = f"version_policy {{ specific {{ versions: [ {numbers} ] }} }}"
    changed, count = _POLICY.subn(policy, text)
    return changed if count else f"{text.rstrip()}\n{policy}\n"


def read_config(repository: Path, ensemble: str) -> str | None:
    """The text of an ensemble's config.pbtxt; None if it is not there."""
    try:
        return (repository / ensemble / CONFIG_FILE).read_text()
    except FileNotFoundError:
        return None


def _first_needed(
    repository: Path, system: System, step: str, versions: Versions
) -> dict[str, int]:
    """The newest versions of what the ensembles with this step need besides.

    An ensemble that cannot be had, since one of its steps has no version at all, stays out. Raises
    ReleaseError where that leaves none.
    """
    complete: list[dict[str, int]] = []
    lacking: list[str] = []
    for ensemble in (one for one in system.ensembles if step in one.steps):
        others = [one for one in ensemble.steps if one not in versions]
        there = {one: there for one in others if (there := versions_in(repository / one))}
        if without := [one for one in others if one not in there]:
            lacking.append(f"{ensemble.name} needs a version of {' and of '.join(without)}")
        else:
            complete.append({one: max(numbers) for one, numbers in there.items()})
    if lacking and not complete:
        raise ReleaseError(f"{step} would serve nothing: {'; '.join(lacking)}, which has none")
    return {one: newest for needed in complete for one, newest in needed.items()}
