"""What is wrong in a model repository, without a server."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from peopleseg.checks.artifacts import artifact_faults
from peopleseg.checks.configs import config_faults, missing_version, version_faults
from peopleseg.checks.pairs import pair_faults
from peopleseg.checks.profiles import profile_faults
from peopleseg.checks.reading import ModelFolder, read_models
from peopleseg.checks.shapes import shape_faults
from peopleseg.checks.wiring import policy_faults, wiring_faults
from peopleseg.repository.manifest import ArtifactError, reads_of
from peopleseg.repository.triton_config import parse_config
from peopleseg.systems.people.contract import ENSEMBLES, STEPS
from peopleseg.systems.people.ensembles import HEAD, config_text, pinned, steps_of, wiring


def faults(repository: Path, versions: Mapping[str, int] | None = None) -> list[str]:
    """What is wrong in a model repository, one line each.

    versions: steps with the versions that the ensembles would pin, beside those that they pin now.
    Judged is then the repository as it would be: the ensembles as a release writes them, and of the
    version folders those that they pin.
    """
    if not repository.is_dir():
        return [f"{repository}: not a folder; name the model repository"]
    models, found = read_models(repository)
    steps = {name: folder for name, folder in models.items() if name in STEPS}
    for folder in models.values():
        found += config_faults(folder)
    if versions is None:
        ensembles = {name: models[name].config for name in ENSEMBLES if name in models}
        for folder in models.values():
            found += version_faults(folder)
    else:
        ensembles, wrong = _planned(models, versions)
        found += wrong
    found += _conflicting_pins(ensembles)
    broken, wrong = _artifact_faults(steps, ensembles, every=versions is None)
    found += wrong
    shared: dict[str, list[str]] = {}  # a fault of a step shows in each ensemble that has it
    for name, config in ensembles.items():
        wrong = _ensemble_faults(config, repository, models, broken, planned=versions is not None)
        if versions is None:
            wrong += policy_faults(config, models)
        for fault in wrong:
            shared.setdefault(fault, []).append(name)
    found += [f"{', '.join(names)}: {fault}" for fault, names in shared.items()]
    return found


def _planned(
    models: Mapping[str, ModelFolder], versions: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """The ensembles that have a version of each of their steps, as a release would write them."""
    found = []
    for step, version in versions.items():
        if step not in STEPS or step not in models:
            found.append(f"{step}: not a step of this repository; it has {', '.join(models)}")
        elif version not in models[step].versions:
            found.append(f"{step}: {missing_version(models[step], version)}")
    if found:
        return {}, found
    pins: dict[str, int] = {}
    for name in ENSEMBLES:
        pins |= pinned(models[name].config) if name in models else {}
    pins |= versions
    try:
        reads = reads_of(models[HEAD].path / str(pins[HEAD])) if HEAD in pins else ()
    except ArtifactError as error:
        return {}, [f"{HEAD}/{pins[HEAD]}: {error}"]
    return {
        name: parse_config(config_text(name, pins, reads))
        for name in ENSEMBLES
        if pins.keys() >= set(steps_of(name, reads))
    }, []


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
    *,
    planned: bool,
) -> list[str]:
    """Wiring first; true shapes only where everything that they rest on is without faults."""
    found = wiring_faults(config, models)
    labels = {f"{step}/{version}" for step, version in pinned(config).items()}
    if found or labels & set(broken):
        return found
    return [
        *shape_faults(config, repository),
        *_unlike_a_release(config, repository),
        *pair_faults(config, repository),
        # A planned release is no fault of a config for servers that may not be there; one that is
        # refuses it, when it is tried.
        *([] if planned else profile_faults(config, models)),
    ]


def _unlike_a_release(config: Any, repository: Path) -> list[str]:
    """A head that is fed zeros for what it reads, or others' work for what it does not."""
    pins = pinned(config)
    reads = reads_of(repository / HEAD / str(pins[HEAD])) if HEAD in pins else ()
    wanted = {step.model.name: step[1:] for step in wiring(config.name, reads)}
    found = {
        step.model_name: (dict(step.input_map), dict(step.output_map))
        for step in config.ensemble_scheduling.step
    }
    differing = sorted(name for name in {**wanted, **found} if found.get(name) != wanted.get(name))
    if not differing:
        return []
    return [
        f"{', '.join(differing)} wired otherwise than a release does for a head that reads "
        f"{', '.join(reads) or 'nothing of roi_align'}; release again"
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
