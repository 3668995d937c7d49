"""An ensemble run in this process: the interpreter of its wiring."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from peopleseg.systems.people.ensembles import Step
from peopleseg.systems.step import Arrays

# Name of a step, the outputs that are wanted, its inputs by name: to its outputs by name.
Call = Callable[[str, Collection[str], Arrays], Arrays]


def run(wiring: Sequence[Step], given: Mapping[str, NDArray[Any]], call: Call) -> Arrays:
    """Every tensor of an ensemble by its name there: what is given, and what the steps make."""
    tensors = dict(given)
    for step in wiring:
        inputs = {own: tensors[shared] for own, shared in step.inputs.items()}
        outputs = call(step.model.name, step.outputs.keys(), inputs)
        tensors |= {shared: outputs[own] for own, shared in step.outputs.items()}
    return tensors
