"""The ensembles of a system in one process, without a server: the interpreter of their wiring.

What the server's responses are compared with, what a release is measured with before it is served,
and what calls the same graphs most directly.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from peopleseg.repository.manifest import ArtifactError, Manifest, StepManifest
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.step import Arrays, Step
from peopleseg.systems.system import System
from peopleseg.systems.versions import python_step
from peopleseg.systems.wiring import Reads, Wired, reads_in, serving_versions, wiring

# Name of a step, the outputs that are wanted, its inputs by name: to its outputs by name.
Call = Callable[[str, Collection[str], Arrays], Arrays]


class MissingVersion(ArtifactError, ValueError):
    """A step that is neither named nor pinned."""


class OnnxModel:
    """One artifact in a session of ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.providers = session.get_providers()
        self.input_names = [given.name for given in session.get_inputs()]
        self.output_names = [output.name for output in session.get_outputs()]

    def __call__(self, **inputs: NDArray[Any]) -> Arrays:
        """Input arrays by name, with their batch axis, to output arrays by name."""
        return dict(zip(self.output_names, self._session.run(None, inputs), strict=True))


def open_on_processors(path: Path, *, threads: int) -> OnnxModel:
    """An artifact that computes with so many threads."""
    return OnnxModel(
        onnxruntime.InferenceSession(path, options_for(threads), providers=["CPUExecutionProvider"])
    )


class Pipeline:
    """The networks and the Python steps of a system, each loaded when needed.

    threads: of every network and of steps that have threads. versions: of the steps; one that is
    not named has the version that the ensembles pin. settings: of Python steps, in place of those
    of their versions, name by name. networks: in place of those of their versions. reads: what
    networks compute with, where they are some of these. open_network: opens an artifact elsewhere
    than on CPUs.
    """

    def __init__(
        self,
        system: System,
        model_repository: Path,
        *,
        threads: int = 2,
        versions: Mapping[str, int] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        networks: Mapping[str, OnnxModel] | None = None,
        reads: Reads | None = None,
        open_network: Callable[[Path], OnnxModel] | None = None,
    ) -> None:
        self.system = system
        self._repository = model_repository
        self._threads = threads
        self._open_network = open_network or partial(open_on_processors, threads=threads)
        self._settings = settings or {}
        self._networks = dict(networks or {})
        self._steps: dict[str, Step] = {}
        self._given_reads = reads
        self.versions = serving_versions(model_repository, system) | dict(versions or {})

    def call(
        self,
        ensemble: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """What an ensemble answers to one request, its output tensors by name; see `tensors`."""
        tensors = self.tensors(ensemble, inputs, parameters)
        outputs = self.system.ensemble(ensemble).model.outputs
        return {tensor.name: tensors[tensor.name] for tensor in outputs}

    def tensors(
        self,
        ensemble: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """Every tensor that an ensemble has for one request, by its name there.

        Raises InvalidInput for a bad request, MissingVersion, and ArtifactError for a version that
        is not whole.
        """

        def call(name: str, wanted: Collection[str], given: Arrays) -> Arrays:
            return self.call_step(name, given, wanted, parameters)

        return run(wiring(self.system.ensemble(ensemble), self.reads), inputs, call)

    def call_step(
        self,
        name: str,
        inputs: Mapping[str, NDArray[Any]],
        wanted: Collection[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """One step by its tensors, as the server calls it. wanted: of its outputs; None for all."""
        current = self.system.python_step(name)
        if current is None:
            return self.network(name)(**inputs)
        step = self._step(name, current)
        left_out = dict.fromkeys(t.name for t in step.model.inputs if t.name not in inputs)
        if wanted is None:
            wanted = [tensor.name for tensor in step.model.outputs]
        return step.compute(wanted, **inputs, **left_out, **step.asked(parameters or {}))

    def network(self, name: str) -> OnnxModel:
        """A network in its session."""
        if name not in self._networks:
            folder = self._folder(name)
            self._networks[name] = self._open_network(folder / Manifest.read(folder).artifact)
        return self._networks[name]

    @cached_property
    def reads(self) -> Reads:
        """What the networks that decide about the wiring compute with."""
        if self._given_reads is not None:
            return self._given_reads
        return reads_in(self._repository, self.system, self.versions)

    def _step(self, name: str, current: type[Step]) -> Step:
        if name not in self._steps:
            made = python_step(self._folder(name), current)
            folder = self._folder(name)
            settings = StepManifest.read(folder).arguments(folder)
            settings = settings | dict(self._settings.get(name, {}))
            if "threads" in made.settings:
                settings["threads"] = self._threads
            self._steps[name] = made(**settings)
        return self._steps[name]

    def _folder(self, name: str) -> Path:
        if name not in self.versions:
            raise MissingVersion(
                f"no version of {name}: no ensemble of {self._repository} pins one; name it"
            )
        return self._repository / name / str(self.versions[name])


def run(wired: Sequence[Wired], given: Mapping[str, NDArray[Any]], call: Call) -> Arrays:
    """Every tensor of an ensemble by its name there: what is given, and what the steps make."""
    tensors = dict(given)
    for step in wired:
        inputs = {own: tensors[shared] for own, shared in step.inputs.items()}
        outputs = call(step.model.name, step.outputs.keys(), inputs)
        tensors |= {shared: outputs[own] for own, shared in step.outputs.items()}
    return tensors
