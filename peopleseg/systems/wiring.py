"""How the steps of an ensemble are wired, and its config.pbtxt.

A release pins one version of every step. The config of an ensemble follows from these versions and
from what its networks read: a tensor that nobody reads is not made, and a step that makes nothing
else is left out.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.repository.manifest import reads_of
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.repository.triton_config import (
    CONFIG_FILE,
    ConfigError,
    parse_config,
    parse_config_file,
)
from peopleseg.systems.system import Ensemble, System, Use

# Name of a network to the inputs that it computes with; one that is not named reads all of them.
Reads = Mapping[str, Collection[str]]


class Wired(NamedTuple):
    """A step of an ensemble, and the ensemble's tensors by the step's own names."""

    model: Model
    inputs: dict[str, str]
    outputs: dict[str, str]


def wiring(ensemble: Ensemble, reads: Reads) -> tuple[Wired, ...]:
    """The steps of an ensemble whose networks compute with the inputs `reads`.

    Every input of a network is wired, because the server wants it there. An optional input of a
    Python step is wired where some step makes it, and where what it alone is needed for is read.
    """
    given = {tensor.name for tensor in ensemble.model.inputs}
    made = {_output(use, tensor) for use in ensemble.uses for tensor in use.model.outputs}
    needed = {tensor.name for tensor in ensemble.model.outputs}
    read = set(needed)  # of what is needed, what some network computes with
    steps: list[Wired] = []
    for use in reversed(ensemble.uses):
        model = use.model
        outputs = {one.name: _output(use, one) for one in model.outputs}
        outputs = {own: shared for own, shared in outputs.items() if shared in needed - given}
        if not outputs:
            continue
        inputs = {
            one.name: _input(use, one)
            for one in model.inputs
            if not one.optional or (_input(use, one) in made and _is_of_use(one, use, read))
        }
        needed |= set(inputs.values())
        computed_with = reads.get(model.name, inputs)
        read |= {shared for own, shared in inputs.items() if own in computed_with}
        steps.append(Wired(model, inputs, outputs))
    return tuple(reversed(steps))


def choosers(ensemble: Ensemble) -> tuple[str, ...]:
    """The networks whose `reads` decide about the wiring of an ensemble."""
    chosen = {
        use.outputs.get(output, output) for use in ensemble.uses for output in use.model.made_of
    }
    return tuple(
        use.model.name
        for use in ensemble.uses
        if chosen & {_input(use, tensor) for tensor in use.model.inputs}
    )


def reads_in(repository: Path, system: System, versions: Mapping[str, int]) -> Reads:
    """What decides about the wiring of a system's ensembles. Raises ArtifactError."""
    names = {name for one in system.ensembles for name in choosers(one) if name in versions}
    return {name: reads_of(repository / name / str(versions[name])) for name in names}


def steps_of(ensemble: Ensemble, reads: Reads) -> tuple[str, ...]:
    """Names of the steps of an ensemble whose networks read these inputs, in their order."""
    return tuple(step.model.name for step in wiring(ensemble, reads))


def config_text(ensemble: Ensemble, versions: Mapping[str, int], reads: Reads) -> str:
    """The config.pbtxt of an ensemble that pins these versions of its steps.

    Raises ValueError for a step without a version.
    """
    steps = wiring(ensemble, reads)
    for step in steps:
        if step.model.name not in versions:
            raise ValueError(
                f"{ensemble.name} needs a version of {step.model.name}; none was named"
            )
    return f"""\
# {ensemble.about}
# One request is one image. Written by `peopleseg release`, which changes the pinned versions, and
# with them all steps at once.
name: "{ensemble.name}"
platform: "ensemble"
max_batch_size: 0
input [
{_listed(_tensor_text(tensor) for tensor in ensemble.model.inputs)}
]
output [
{_listed(_tensor_text(tensor) for tensor in ensemble.model.outputs)}
]
ensemble_scheduling {{
  step [
{_listed(_step_text(step, versions[step.model.name]) for step in steps)}
  ]
}}
"""


def config_texts(repository: Path, system: System, versions: Mapping[str, int]) -> dict[str, str]:
    """The config.pbtxt of each ensemble of a system that these versions make up, by name.

    Raises ArtifactError when it cannot be told what a network reads.
    """
    reads = reads_in(repository, system, versions)
    return {
        one.name: config_text(one, versions, reads)
        for one in system.ensembles
        if versions.keys() >= set(steps_of(one, reads))
    }


def pinned(config: Any) -> dict[str, int]:
    """Step to version of an ensemble's config, as text or as tritonclient's ModelConfig.

    Raises ConfigError for text that is not a config.
    """
    if isinstance(config, str):
        config = parse_config(config)
    return {step.model_name: step.model_version for step in config.ensemble_scheduling.step}


def served(repository: Path, systems: Iterable[System]) -> tuple[str, ...]:
    """The ensembles of these systems that a model repository has, in the order of the records."""
    return tuple(
        one.name
        for system in systems
        for one in system.ensembles
        if (repository / one.name / CONFIG_FILE).is_file()
    )


def serving_versions(repository: Path, system: System) -> dict[str, int]:
    """Step to version, as the ensembles of a system pin them together.

    Raises ConfigError when two ensembles pin different versions of one step.
    """
    versions: dict[str, int] = {}
    for ensemble in served(repository, [system]):
        for step, version in pinned(parse_config_file(repository / ensemble / CONFIG_FILE)).items():
            if versions.setdefault(step, version) != version:
                raise ConfigError(
                    f"{repository / ensemble / CONFIG_FILE} pins version {version} of {step}, "
                    f"another ensemble version {versions[step]}; repeat the release, or roll back"
                )
    return versions


def _input(use: Use, tensor: Tensor) -> str:
    return use.inputs.get(tensor.name, tensor.name)


def _output(use: Use, tensor: Tensor) -> str:
    return use.outputs.get(tensor.name, tensor.name)


def _is_of_use(optional: Tensor, use: Use, read: Collection[str]) -> bool:
    """Whether what is made of an optional input is read."""
    made = [output for output, source in use.model.made_of.items() if source == optional.name]
    return not made or any(use.outputs.get(output, output) in read for output in made)


def _tensor_text(tensor: Tensor) -> str:
    dtype = "STRING" if tensor.dtype == "BYTES" else tensor.dtype
    dims = ", ".join(str(length) for length in tensor.shape)
    return f'  {{ name: "{tensor.name}" data_type: TYPE_{dtype} dims: [ {dims} ] }}'


def _step_text(step: Wired, version: int) -> str:
    maps = [("input_map", *pair) for pair in step.inputs.items()]
    maps += [("output_map", *pair) for pair in step.outputs.items()]
    lines = [f'{field} {{ key: "{own}" value: "{shared}" }}' for field, own, shared in maps]
    lines = [f'model_name: "{step.model.name}"', f"model_version: {version}", *lines]
    return "\n".join(["    {", *(f"      {line}" for line in lines), "    }"])


def _listed(entries: Iterable[str]) -> str:
    return ",\n".join(entries)
