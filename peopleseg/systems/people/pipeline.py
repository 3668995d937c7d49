"""The steps of the ensembles composed in one process, without a server.

What the server's answers are compared with, what a release is measured with before it is served,
and what calls the same graphs most directly.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.images import prepare
from peopleseg.repository.manifest import Manifest, StepManifest, reads_of
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.people.answer import People, foreground_of, people_of
from peopleseg.systems.people.ensembles import HEAD, serving_versions
from peopleseg.systems.people.roi_align import FeatureAligner, RoiAligner
from peopleseg.systems.people.scores import with_score_fit
from peopleseg.systems.people.selection import (
    Rois,
    boxes_to_rois,
    requested_min_score,
    select_people,
)

Arrays = dict[str, NDArray[Any]]


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
    """The networks of a model repository and the steps between them, each loaded when needed.

    threads: of every network and of RoIAlign. versions: of the steps; one that is not named has the
    version that the ensembles pin. settings: of steps, in place of those of their versions, name by
    name. open_network: opens an artifact elsewhere than on the processors. Raises ValueError for a
    step that is neither named nor pinned, ArtifactError for a version that is not whole.
    """

    def __init__(
        self,
        model_repository: Path,
        *,
        threads: int = 2,
        versions: Mapping[str, int] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        open_network: Callable[[Path], OnnxModel] | None = None,
    ) -> None:
        self._repository = model_repository
        self._threads = threads
        self._open_network = open_network or partial(open_on_processors, threads=threads)
        self._given_settings = settings or {}
        self._settings: dict[str, dict[str, Any]] = {}
        self.versions = serving_versions(model_repository) | dict(versions or {})

    def segment(self, image: bytes, *, min_score: float | None = None) -> People:
        """Every person of an encoded picture, as `person_segmentation` answers.

        min_score: that of a request; None for the setting of select_people.
        """
        pixels, letterbox = self.prepare(image)
        detected = self.yolov9(pixels=pixels)
        found = self.select_people(detected["predictions"][0], letterbox, min_score=min_score)
        return self._people(pixels, detected["features"], found, letterbox, min_score)

    def segment_from_boxes(self, image: bytes, boxes_xyxy: NDArray[np.float32]) -> People:
        """One mask a box, as `person_segmentation_from_boxes` answers."""
        pixels, letterbox = self.prepare(image)
        features = self.yolov9(pixels=pixels)["features"] if "roi_features" in self.reads else None
        return self._people(pixels, features, boxes_to_rois(boxes_xyxy, letterbox), letterbox)

    def segment_by_features(self, image: bytes) -> People:
        """Every person of an encoded picture, as `person_segmentation_features` answers."""
        pixels, letterbox = self.prepare(image)
        detected = self.yolov9(pixels=pixels)
        found = self.select_people(detected["predictions"][0], letterbox)
        roi_features = self.feature_aligner.align(detected["features"], found.rois)
        mask_logits = self.feature_head(roi_features=roi_features)["mask_logits"]
        return self.postprocess(mask_logits, found, letterbox)

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        """(height, width) person probability x 255, as `people_foreground` answers."""
        pixels, letterbox = self.prepare(image)
        return foreground_of(self.people_unet(pixels=pixels)["person_logit"][0, 0], letterbox)

    def prepare(self, image: bytes) -> tuple[NDArray[np.uint8], Letterbox]:
        """As the step preprocess does."""
        return prepare(image, **self._settings_of("preprocess"))

    def select_people(
        self,
        predictions: NDArray[np.float32],
        letterbox: Letterbox,
        *,
        min_score: float | None = None,
    ) -> Rois:
        """As the step of that name does, of one image: predictions (5, anchors)."""
        settings = self._settings_of("select_people") | _asked(min_score)
        return select_people(predictions, letterbox, **with_score_fit(settings))

    def postprocess(
        self,
        mask_logits: NDArray[np.float32],
        found: Rois,
        letterbox: Letterbox,
        *,
        min_score: float | None = None,
    ) -> People:
        """As the step of that name does: mask_logits (N, 3, h, w) of the N rois."""
        settings = self._settings_of("postprocess") | _asked(min_score)
        return people_of(mask_logits, *found, letterbox, **with_score_fit(settings))

    @cached_property
    def yolov9(self) -> OnnxModel:
        return self._network("yolov9")

    @cached_property
    def people_unet(self) -> OnnxModel:
        return self._network("people_unet")

    @cached_property
    def hierarchical_head(self) -> OnnxModel:
        return self._network(HEAD)

    @cached_property
    def feature_head(self) -> OnnxModel:
        return self._network("feature_head")

    @cached_property
    def aligner(self) -> RoiAligner:
        return RoiAligner(**self._settings_of("roi_align") | {"threads": self._threads})

    @cached_property
    def feature_aligner(self) -> FeatureAligner:
        return FeatureAligner(
            **self._settings_of("roi_align_features") | {"threads": self._threads}
        )

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The inputs that the hierarchical head computes with."""
        return reads_of(self._folder(HEAD))

    def _people(
        self,
        pixels: NDArray[np.uint8],
        features: NDArray[np.float16] | None,
        found: Rois,
        letterbox: Letterbox,
        min_score: float | None = None,
    ) -> People:
        person_logit = None
        if "roi_logit" in self.reads:
            person_logit = self.people_unet(pixels=pixels)["person_logit"]
        aligned = self.aligner.align(pixels, person_logit, features, found.rois, self.reads)
        mask_logits = self.hierarchical_head(**aligned._asdict())["mask_logits"]
        return self.postprocess(mask_logits, found, letterbox, min_score=min_score)

    def _network(self, name: str) -> OnnxModel:
        folder = self._folder(name)
        return self._open_network(folder / Manifest.read(folder).artifact)

    def _settings_of(self, name: str) -> dict[str, Any]:
        if name not in self._settings:
            own = StepManifest.read(self._folder(name)).settings
            self._settings[name] = own | dict(self._given_settings.get(name, {}))
        return self._settings[name]

    def _folder(self, name: str) -> Path:
        if name not in self.versions:
            raise ValueError(
                f"no version of {name}: no ensemble of {self._repository} pins one; name it"
            )
        return self._repository / name / str(self.versions[name])


def _asked(min_score: float | None) -> dict[str, float]:
    return {} if min_score is None else {"min_score": requested_min_score(min_score)}
