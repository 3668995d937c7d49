"""What is wrong in a model repository, without a server."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peopleseg.checks.artifacts import artifact_faults
from peopleseg.checks.configs import config_faults, missing_version, version_faults
from peopleseg.checks.reading import ModelFolder, read_models
from peopleseg.checks.shapes import shape_faults
from peopleseg.checks.wiring import policy_faults, wiring_faults
from peopleseg.repository.manifest import ArtifactError
from peopleseg.repository.triton_config import ConfigError, parse_config
from peopleseg.systems.known import ENSEMBLES, STEPS, SYSTEMS, system_of
from peopleseg.systems.rendered import stale_files
from peopleseg.systems.system import System
from peopleseg.systems.wiring import choosers, config_texts, pinned, reads_in, wiring


def faults(repository: Path) -> list[str]:
    """What is wrong in a model repository, one line each."""
    return _faults(repository, None)


def planned_faults(repository: Path, system: System, versions: Mapping[str, int]) -> list[str]:
    """What would be wrong if the ensembles of a system pinned these versions of their steps.

    Beside those that they pin now. Judged are its ensembles as a release writes them, and of the
    version folders those that they pin.
    """
    return _faults(repository, (system, versions))


def _faults(repository: Path, planned: tuple[System, Mapping[str, int]] | None) -> list[str]:
    if not repository.is_dir():
        return [f"{repository}: not a folder; name the model repository"]
    models, found = read_models(repository)
    steps = {name: folder for name, folder in models.items() if name in STEPS}
    for folder in models.values():
        found += config_faults(folder)
    if planned is None:
        found += _stale_configs(repository)
        ensembles = {name: models[name].config for name in ENSEMBLES if name in models}
        for folder in models.values():
            found += version_faults(folder)
    else:
        ensembles, wrong = _planned(repository, models, *planned)
        found += wrong
    for system in SYSTEMS:
        found += _conflicting_pins(
            {name: config for name, config in ensembles.items() if system_of(name) is system}
        )
    broken, wrong = _artifact_faults(steps, ensembles, every=planned is None)
    found += wrong
    shared: dict[str, list[str]] = {}  # a fault of a step shows in each ensemble that has it
    for name, config in ensembles.items():
        wrong = _ensemble_faults(config, repository, models, broken)
        if planned is None:
            wrong += policy_faults(config, models)
        for fault in wrong:
            shared.setdefault(fault, []).append(name)
    found += [f"{', '.join(names)}: {fault}" for fault, names in shared.items()]
    return found


def _stale_configs(repository: Path) -> list[str]:
    """Nothing where another fault keeps them from being rendered: that one is told."""
    try:
        # lengths for TensorRT follow at the next start after a release
        stale = stale_files(repository, lengths=False)
    except (ArtifactError, ConfigError, OSError):
        return []
    return [
        f"{path.relative_to(repository)}: not what follows from the other configs; run "
        "`peopleseg render-configs`"
        for path in stale
        if path.is_file()  # what is not there misleads nobody
    ]


def _planned(
    repository: Path,
    models: Mapping[str, ModelFolder],
    system: System,
    versions: Mapping[str, int],
) -> tuple[dict[str, Any], list[str]]:
    """The ensembles that have a version of each of their steps, as a release would write them."""
    found = []
    for step, version in versions.items():
        if step not in system.steps or step not in models:
            found.append(f"{step}: not a step of this repository; it has {', '.join(models)}")
        elif version not in models[step].versions:
            found.append(f"{step}: {missing_version(models[step], version)}")
    if found:
        return {}, found
    pins: dict[str, int] = {}
    for one in system.ensembles:
        pins |= pinned(models[one.name].config) if one.name in models else {}
    try:
        texts = config_texts(repository, system, {**pins, **versions})
    except ArtifactError as error:
        return {}, [str(error)]
    return {name: parse_config(text) for name, text in texts.items()}, []


def _conflicting_pins(ensembles: Mapping[str, Any]) -> list[str]:
    pins: dict[str, tuple[int, str]] = {}
    found = []
    for name, config in ensembles.items():
        for step, version in pinned(config).items():
            first, other = pins.setdefault(step, (version, name))
            if first != version:
                found.append(
                    f"{name}: pins version {version} of {step}, {other} version {first}; "
                    "a release pins one for all: release again"
                )
    return found


def _ensemble_faults(
    config: Any,
    repository: Path,
    models: Mapping[str, ModelFolder],
    broken: Collection[str],
) -> list[str]:
    """Wiring first; true shapes only where everything that they rest on is without faults."""
    found = wiring_faults(config, models)
    pins = pinned(config)
    labels = {f"{step}/{version}" for step, version in pins.items()}
    if found or labels & set(broken):
        return found
    folders = {step: repository / step / str(version) for step, version in pins.items()}
    return [
        *shape_faults(config, repository),
        *_unlike_a_release(config, repository),
        *system_of(config.name).pair_faults(folders),
    ]


def _unlike_a_release(config: Any, repository: Path) -> list[str]:
    """A network that is fed zeros for what it reads, or others' work for what it does not."""
    ensemble = ENSEMBLES[config.name]
    reads = reads_in(repository, system_of(config.name), pinned(config))
    wanted = {step.model.name: step[1:] for step in wiring(ensemble, reads)}
    found = {
        step.model_name: (dict(step.input_map), dict(step.output_map))
        for step in config.ensemble_scheduling.step
    }
    differing = sorted(name for name in {**wanted, **found} if found.get(name) != wanted.get(name))
    if not differing:
        return []
    read = "; ".join(f"{name} reads {', '.join(reads[name])}" for name in choosers(ensemble))
    return [
        f"{', '.join(differing)} wired otherwise than a release does{f' ({read})' if read else ''}"
        "; release again"
    ]


def _artifact_faults(
    steps: Mapping[str, ModelFolder], ensembles: Mapping[str, Any], *, every: bool
) -> tuple[set[str], list[str]]:
    """Labels of the versions that are not what they should be, and why; pinned ones or all."""
    pins = {label for config in ensembles.values() for label in pinned(config).items()}
    chosen = [
        (folder, version)
        for folder in steps.values()
        for version in folder.versions
        if every or (folder.name, version) in pins
    ]
    broken: set[str] = set()
    found = []
    for folder, version in tqdm(chosen, unit="version", disable=None, leave=False):
        wrong = artifact_faults(folder, version)
        if wrong:
            broken.add(f"{folder.name}/{version}")
        found += wrong
    return broken, found
