"""The ensembles of a model repository in one process, without a server.

What the server's answers are compared with, what a release is measured with before it is served,
and what calls the same graphs most directly.
"""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from peopleseg.repository.manifest import Manifest, StepManifest, reads_of
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.people.answer import People
from peopleseg.systems.people.contract import ENSEMBLES, MIN_SCORE_PARAMETER, STEPS
from peopleseg.systems.people.ensembles import HEAD, serving_versions, wiring
from peopleseg.systems.people.python_steps import PYTHON_STEPS
from peopleseg.systems.run import run
from peopleseg.systems.step import Arrays, Step


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
    """The networks and the Python steps of a model repository, each loaded when needed.

    threads: of every network and of RoIAlign. versions: of the steps; one that is not named has the
    version that the ensembles pin. settings: of Python steps, in place of those of their versions,
    name by name. networks: in place of those of their versions. reads: what the hierarchical head
    computes with, where it is one of these. open_network: opens an artifact elsewhere than on CPUs.
    """

    def __init__(
        self,
        model_repository: Path,
        *,
        threads: int = 2,
        versions: Mapping[str, int] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        networks: Mapping[str, OnnxModel] | None = None,
        reads: Collection[str] | None = None,
        open_network: Callable[[Path], OnnxModel] | None = None,
    ) -> None:
        self._repository = model_repository
        self._threads = threads
        self._open_network = open_network or partial(open_on_processors, threads=threads)
        self._settings = settings or {}
        self._networks = dict(networks or {})
        self._steps: dict[str, Step] = {}
        self._given_reads = reads
        self.versions = serving_versions(model_repository) | dict(versions or {})

    def segment(self, image: bytes, *, min_score: float | None = None) -> People:
        """Every person of an encoded picture, as `person_segmentation` answers.

        min_score: that of a request; None for the setting of select_people.
        """
        parameters = {} if min_score is None else {MIN_SCORE_PARAMETER: min_score}
        return people_in(
            self.answer("person_segmentation", {"image": bytes_tensor(image)}, parameters)
        )

    def segment_from_boxes(self, image: bytes, boxes_xyxy: NDArray[np.float32]) -> People:
        """One mask a box, as `person_segmentation_from_boxes` answers."""
        inputs = {"image": bytes_tensor(image), "boxes": boxes_xyxy}
        return people_in(self.answer("person_segmentation_from_boxes", inputs))

    def segment_by_features(self, image: bytes) -> People:
        """Every person of an encoded picture, as `person_segmentation_features` answers."""
        return people_in(
            self.answer("person_segmentation_features", {"image": bytes_tensor(image)})
        )

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        """(height, width) person probability x 255, as `people_foreground` answers."""
        return self.answer("people_foreground", {"image": bytes_tensor(image)})["foreground"]

    def answer(
        self,
        ensemble: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """What an ensemble answers to one request, its output tensors by name; see `tensors`."""
        tensors = self.tensors(ensemble, inputs, parameters)
        return {tensor.name: tensors[tensor.name] for tensor in ENSEMBLES[ensemble].outputs}

    def tensors(
        self,
        ensemble: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """Every tensor that an ensemble has for one request, by its name there.

        Raises InvalidInput for a bad request, ValueError for a step that is neither named nor
        pinned, ArtifactError for a version that is not whole.
        """

        def call(name: str, wanted: Collection[str], given: Arrays) -> Arrays:
            return self.call(name, given, wanted, parameters)

        return run(wiring(ensemble, self.reads), inputs, call)

    def call(
        self,
        name: str,
        inputs: Mapping[str, NDArray[Any]],
        wanted: Collection[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Arrays:
        """One step by its tensors, as the server calls it. wanted: of its outputs; None for all."""
        if name not in PYTHON_STEPS:
            return self.network(name)(**inputs)
        step, contract = self._step(name), STEPS[name]
        left_out = dict.fromkeys(t.name for t in contract.inputs if t.name not in inputs)
        if wanted is None:
            wanted = [tensor.name for tensor in contract.outputs]
        return step.compute(wanted, **inputs, **left_out, **step.asked(parameters or {}))

    def network(self, name: str) -> OnnxModel:
        """A network in its session."""
        if name not in self._networks:
            folder = self._folder(name)
            self._networks[name] = self._open_network(folder / Manifest.read(folder).artifact)
        return self._networks[name]

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The inputs that the hierarchical head computes with; none where no version is named."""
        if self._given_reads is not None:
            return tuple(self._given_reads)
        return reads_of(self._folder(HEAD)) if HEAD in self.versions else ()

    def _step(self, name: str) -> Step:
        if name not in self._steps:
            made = PYTHON_STEPS[name]
            settings = StepManifest.read(self._folder(name)).settings
            settings = settings | dict(self._settings.get(name, {}))
            if "threads" in made.settings:
                settings["threads"] = self._threads
            self._steps[name] = made(**settings)
        return self._steps[name]

    def _folder(self, name: str) -> Path:
        if name not in self.versions:
            raise ValueError(
                f"no version of {name}: no ensemble of {self._repository} pins one; name it"
            )
        return self._repository / name / str(self.versions[name])


def people_in(answer: Arrays) -> People:
    """The people of an answer's tensors."""
    rles = [json.loads(rle) for rle in answer["rles"]]
    return People(answer["boxes"], answer["scores"], answer["masks"], rles)
