"""True shapes through an ensemble: the configs leave lengths open that a request will not.

A detector's channels, the cells of a roi and those of a mask are the networks' own. Here they are
followed from step to step, so that versions that do not belong together are found before a request.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peopleseg.repository.manifest import Manifest, Tensors, read_manifest, reads_of, tensors_of
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.known import PYTHON_STEPS, STEPS
from peopleseg.systems.step import Shape
from peopleseg.systems.versions import python_step


def fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two shapes can be the same; -1 is any length."""
    return len(found) == len(wanted) and all(
        -1 in (a, b) or a == b for a, b in zip(found, wanted, strict=True)
    )


def accepts(shape: Sequence[int], wanted: Sequence[int], batched: bool) -> bool:
    """Whether a model takes a tensor of this shape where it wants `wanted`, without batch axis.

    Triton puts the batch axis before a shape that is just a batching model's own.
    """
    return fits(shape, (-1, *wanted) if batched else wanted) or (batched and fits(shape, wanted))


def whole(tensor: Tensor, batched: bool | int) -> Tensor:
    """The tensor with its batch axis."""
    return replace(tensor, shape=(-1, *tensor.shape)) if batched else tensor


def shape_faults(config: Any, repository: Path) -> list[str]:
    """Where the true shapes of the pinned versions do not fit together.

    The ensemble's wiring and the artifacts have to be without faults.
    """
    made = {entry.name: ("the request", tuple(entry.dims)) for entry in config.input}
    steps = list(_in_order(config))
    faults = []
    if len(steps) < len(config.ensemble_scheduling.step):
        faults.append("some steps wait for each other in a circle; no request would ever end")
    for step in steps:
        batched = STEPS[step.model_name].max_batch_size > 0
        label = f"{step.model_name}/{step.model_version}"
        given = {own: made[shared][1] for own, shared in step.input_map.items()}
        tensors = _true_tensors(step.model_name, repository / label, given)
        for own, tensor in tensors.inputs.items():
            if own in given and not accepts(given[own], tensor.shape, batched):
                shared = step.input_map[own]
                faults.append(
                    f"{label} reads {own} {list(tensor.shape)}, but gets {shared} of shape "
                    f"{list(given[own])} from {made[shared][0]}; pin versions that belong together"
                )
        for own, shared in step.output_map.items():
            made[shared] = label, whole(tensors.outputs[own], batched).shape
    return faults


def _in_order(config: Any) -> Iterator[Any]:
    """The steps, each after those that it reads; Triton does not ask for an order."""
    known = {entry.name for entry in config.input}
    waiting = list(config.ensemble_scheduling.step)
    while waiting:
        ready = next((step for step in waiting if known.issuperset(step.input_map.values())), None)
        if ready is None:
            return  # a circle, in which nothing would ever run
        waiting.remove(ready)
        known.update(ready.output_map.values())
        yield ready


def _true_tensors(name: str, folder: Path, given: Mapping[str, Shape]) -> Tensors:
    """What a version reads, and what it makes of shapes that it is given."""
    manifest = read_manifest(folder)
    if isinstance(manifest, Manifest):
        found, reads = tensors_of(folder), reads_of(folder)
        return Tensors({key: found.inputs[key] for key in reads}, found.outputs)
    known = python_step(folder, PYTHON_STEPS[name]).shapes(manifest.settings, given)
    outputs = {
        tensor.name: replace(tensor, shape=known.get(tensor.name, tensor.shape))
        for tensor in STEPS[name].outputs
    }
    return Tensors({tensor.name: tensor for tensor in STEPS[name].inputs}, outputs)
