"""An ensemble's steps: every input fed, every tensor made once and read, dtypes and dims that fit.

What Triton refuses when it loads an ensemble, or only when a request comes, said beforehand.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from peopleseg.checks.configs import missing_version, tensors
from peopleseg.checks.reading import ModelFolder
from peopleseg.checks.shapes import accepts, whole
from peopleseg.repository.tensors import Tensor


class _Made(NamedTuple):
    """A tensor of the ensemble, and whose it is."""

    maker: str
    tensor: Tensor  # with its batch axis


def wiring_faults(config: Any, models: Mapping[str, ModelFolder]) -> list[str]:
    """What is wrong between the steps of an ensemble's config, by the configs of its steps."""
    faults = list(_step_faults(config, models))
    if faults:
        return faults  # more would only follow from these
    made: dict[str, _Made] = {
        name: _Made("the request", tensor) for name, tensor in tensors(config.input).items()
    }
    for step in config.ensemble_scheduling.step:
        model = models[step.model_name].config
        for own, shared in step.output_map.items():
            if shared in made:
                faults.append(
                    f"tensor {shared} is made twice, by {made[shared].maker} and by "
                    f"{step.model_name}; give one of them another name"
                )
            tensor = whole(tensors(model.output)[own], model.max_batch_size)
            made[shared] = _Made(step.model_name, tensor)
    read = set()
    for reader, name, wanted, batched in _readings(config, models):
        read.add(name)
        if name not in made:
            faults.append(f"{reader} reads {name}, which no step makes; add an output_map to it")
        else:
            faults += _misfits(made[name], name, reader, wanted, batched)
    faults += [
        f"tensor {name} of {made[name].maker} is read by nobody, which Triton refuses; leave it out"
        for name in made
        if name not in read
    ]
    return faults


def _step_faults(config: Any, models: Mapping[str, ModelFolder]) -> Iterator[str]:
    """Of each step by itself: its model, its version, the names in its maps."""
    for step in config.ensemble_scheduling.step:
        folder = models.get(step.model_name)
        if folder is None:
            yield (
                f"step {step.model_name} is not a model of this repository, which has "
                f"{', '.join(models)}"
            )
            continue
        if step.model_version <= 0:
            yield (
                f"step {step.model_name} has model_version {step.model_version}; pin the version "
                "of every step, so that a release swaps them all at once"
            )
        elif step.model_version not in folder.versions:
            yield f"pins {missing_version(folder, step.model_version)}"
        inputs, outputs = tensors(folder.config.input), tensors(folder.config.output)
        for field, mapped, known in (
            ("input_map", step.input_map, inputs),
            ("output_map", step.output_map, outputs),
        ):
            for name in mapped:
                if name not in known:
                    yield (
                        f"step {step.model_name}: {field} has the key {name}; the model has "
                        f"{', '.join(known)}"
                    )
        for name, tensor in inputs.items():
            if name not in step.input_map and not tensor.optional:
                yield (
                    f"step {step.model_name}: its input {name} is not mapped; "
                    f'add input_map {{ key: "{name}" value: ... }}'
                )


def policy_faults(config: Any, models: Mapping[str, ModelFolder]) -> list[str]:
    """Pinned versions that no server would load when it starts.

    A release into a running server changes the policy of the config that this server uses; those
    for other accelerators follow when the next server starts.
    """
    faults = []
    for step in config.ensemble_scheduling.step:
        if step.model_name not in models:
            continue
        kept = {
            name: list(one.version_policy.specific.versions)
            for name, one in models[step.model_name].configs.items()
            if one.version_policy.WhichOneof("policy_choice") == "specific"
        }
        if kept and not any(step.model_version in versions for versions in kept.values()):
            faults.append(
                f"pins version {step.model_version} of {step.model_name}, which no version_policy "
                f"names ({', '.join(f'{name}: {versions}' for name, versions in kept.items())}); "
                "add it, or release again"
            )
    return faults


def _readings(
    config: Any, models: Mapping[str, ModelFolder]
) -> Iterator[tuple[str, str, Tensor, bool]]:
    """Reader, the ensemble's name for the tensor, what is wanted, whether by a batching model."""
    for step in config.ensemble_scheduling.step:
        model = models[step.model_name].config
        inputs = tensors(model.input)
        for own, shared in step.input_map.items():
            yield step.model_name, shared, inputs[own], model.max_batch_size > 0
    for name, tensor in tensors(config.output).items():
        yield "the response", name, tensor, False


def _misfits(source: _Made, name: str, reader: str, wanted: Tensor, batched: bool) -> Iterator[str]:
    if source.tensor.dtype != wanted.dtype:
        yield (
            f"tensor {name} is {source.tensor.dtype} from {source.maker}, "
            f"{wanted.dtype} for {reader}"
        )
    if not accepts(source.tensor.shape, wanted.shape, batched):
        yield (
            f"tensor {name} has dims {list(source.tensor.shape)} from {source.maker}, "
            f"{list(whole(wanted, batched).shape)} for {reader}"
        )
