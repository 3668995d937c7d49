"""Whether a set of versions is as accurate as what serves, before any server loads it.

The versions are composed in one process and measured on a reference set, by the metrics of their
system. Without a reference set the metrics that the manifests bring are compared, where they are of
the same data.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import peopleseg
from conversion.release.examiner import Judgement
from peopleseg.checks.check import planned_faults
from peopleseg.checks.reading import TENSORRT_ARTIFACT
from peopleseg.errors import PeoplesegError
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.files import write_atomically
from peopleseg.releases.errors import Refused
from peopleseg.releases.journal import Journal, of_system
from peopleseg.repository.cache import cache_folder
from peopleseg.repository.manifest import FILE_NAME, ArtifactError, Manifest, read_manifest, sha256
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.system import Accuracy, Annotated, Metrics, Response, System

NOTHING = "nothing"  # that metrics are measured on
MANIFESTS = f"{NOTHING}: the metrics are those of the manifests"
MARGIN = 0.01  # one point: by how much each metric may be worse than what serves


class GateError(PeoplesegError):
    """The metrics cannot be had. The message says of which image or version, and why."""


@dataclass(frozen=True)
class Reference:
    """Annotated images that releases of a system are measured on."""

    system: System
    images: Path  # folder
    annotations: Path  # a file or a folder, as the system reads them
    limit: int | None = None  # the first so many

    @property
    def accuracy(self) -> Accuracy:
        """How the system is measured. Raises GateError where it is not."""
        if self.system.accuracy is None:
            raise GateError(f"{self.system.name} is not measured; release it without --annotations")
        return self.system.accuracy

    @cached_property
    def annotated(self) -> Sequence[Annotated]:
        """Raises GateError when the annotations cannot be read."""
        try:
            return self.accuracy.read(self.annotations, self.images, self.limit)
        except AnnotationError as error:
            raise GateError(f"the reference set cannot be used: {error}") from error

    @cached_property
    def identity(self) -> str:
        """sha256 of the annotations and of all images measured. Raises GateError."""
        one_file = [self.annotations] if self.annotations.is_file() else []
        files = [file for image in self.annotated for file in image.files]
        try:
            return _digest([sha256(file) for file in (*one_file, *files)])
        except OSError as error:
            raise GateError(f"the reference set cannot be read: {error}") from error


def measure(
    repository: Path,
    versions: Mapping[str, int],
    reference: Reference,
    *,
    cache: Path | None = None,
) -> Metrics:
    """The metrics of these versions, and on how many images. Raises GateError.

    cache: folder in which metrics are kept, by the versions' files, the reference set and the code
    that composes and measures; None for the user's cache folder.
    """
    file = (cache or cache_folder() / "gate") / f"{_key(repository, versions, reference)}.json"
    if file.is_file():
        found: Metrics = json.loads(file.read_text())
        return found
    if wrong := unanswerable(repository, versions):
        raise GateError("; ".join(wrong))
    try:
        pipeline = Pipeline(reference.system, repository, versions=versions)
        metrics = reference.accuracy.measure(pipeline, reference.annotated)
    except (PeoplesegError, OSError, ValueError) as error:
        raise GateError(f"versions {dict(versions)} cannot be measured: {error}") from error
    write_atomically(file, json.dumps(metrics).encode())
    return metrics


def unanswerable(repository: Path, versions: Mapping[str, int]) -> list[str]:
    """Versions that cannot be read, or run on no CPU, one line each."""
    wrong = []
    for model, version in versions.items():
        try:
            artifact = read_manifest(repository / model / str(version)).artifact
        except ArtifactError as error:
            wrong.append(str(error))
            continue
        if artifact == TENSORRT_ARTIFACT:
            wrong.append(
                f"{model}/{version} is a TensorRT engine, which can be neither measured nor "
                "compared in this process; release it with --offline and without --annotations"
            )
    return wrong


def recorded(repository: Path, versions: Mapping[str, int]) -> Metrics:
    """The metrics in the manifests of the networks, named by model, metric and data.

    Those of which nobody knows on what they were measured are left out. Raises GateError for a
    version that cannot be read.
    """
    metrics: Metrics = {}
    for model, version in versions.items():
        try:
            manifest = read_manifest(repository / model / str(version))
        except ArtifactError as error:
            raise GateError(str(error)) from error
        if isinstance(manifest, Manifest) and manifest.accuracy_data:
            for name, value in manifest.accuracy.items():
                metrics[f"{model} {name} ({manifest.accuracy_data})"] = value
    return metrics


def judge(serving: Metrics, candidate: Metrics, margin: float = MARGIN) -> list[str]:
    """Why the candidate may not serve: each metric that is worse by more than the margin.

    Every metric is better when higher. One that the serving versions do not have is not compared;
    one that only the candidate lacks is refused.
    """
    refusals = []
    for name, before in serving.items():
        if not isinstance(before, float):
            continue  # a count, or nobody to measure on
        after = candidate.get(name)
        if after is None:
            refusals.append(f"{name} was {before:.4f} and cannot be measured any more")
        elif not after >= before - margin:  # also for NaN
            refusals.append(
                f"{name} falls from {before:.4f} to {after:.4f}, by more than the margin of "
                f"{margin:g}"
            )
    return refusals


@dataclass(frozen=True)
class Gate:
    """What a release has to pass before a server loads it; a `conversion.release` Examiner.

    images: encoded images, asked of the server and of the versions in one process.
    """

    system: System
    repository: Path
    images: Sequence[bytes]
    reference: Reference | None = None
    margin: float = MARGIN
    cache: Path | None = None

    def faults(self, versions: Mapping[str, int]) -> list[str]:
        """What `peopleseg check` says of the repository with these versions.

        And which of them cannot run in this process, where something is to be asked there.
        """
        found = planned_faults(self.repository, self.system, versions)
        asks = self.images or self.reference
        return found or (unanswerable(self.repository, versions) if asks else [])

    def judge(self, serving: Mapping[str, int], candidate: Mapping[str, int]) -> Judgement:
        """Measured on the reference set; without one, by what the manifests say."""
        metrics: Metrics = {"margin": self.margin}
        try:
            metrics["measured_on"] = self._measured_on()
            metrics["serving"] = before = self._metrics(serving)
            metrics["candidate"] = after = self._metrics(candidate)
        except GateError as error:
            return Judgement(metrics, [str(error)])
        if self.reference is None:
            unknown = self._incomparable(serving, candidate)
            before = {name: value for name, value in before.items() if name in after}
            known = self._measured_before(candidate)
            return Judgement(metrics, [*known, *unknown, *judge(before, after, self.margin)])
        unknown = [
            f"{name} cannot be measured on {self.reference.annotations}, so nothing shows whether "
            "it falls; name annotations that have it"
            for name in self.reference.accuracy.needed
            if after.get(name) is None
        ]
        return Judgement(metrics, [*unknown, *judge(before, after, self.margin)])

    def _incomparable(self, serving: Mapping[str, int], candidate: Mapping[str, int]) -> list[str]:
        """Networks of which the manifests do not show whether they are worse than what serves."""
        refusals = []
        for model, version in candidate.items():
            if version == serving.get(model, version):
                continue
            before, after = (
                recorded(self.repository, {model: number}) for number in (serving[model], version)
            )
            if before and not before.keys() & after.keys():
                refusals.append(
                    f"{model}/{version} has no metric of the data that {model}/{serving[model]} "
                    f"was measured on, so nothing shows whether it is worse: {_data(after)} "
                    f"against {_data(before)}; name --images and --annotations to measure both"
                )
        return refusals

    def _measured_before(self, candidate: Mapping[str, int]) -> list[str]:
        """Why these versions were refused when somebody measured them last; nothing if they passed.

        So that a release does not pass because it is tried again without annotations.
        """
        attempts = of_system(Journal(self.repository).attempts(), self.system.name)
        for record in reversed(attempts):
            measured_on = str(record.metrics.get("measured_on", NOTHING))
            if record.versions != dict(candidate) or measured_on.startswith(NOTHING):
                continue
            serving, found = (record.metrics[name] for name in ("serving", "candidate"))
            return [
                f"{reason}, measured on {measured_on} at {record.when}; name annotations to "
                "measure it again"
                for reason in judge(serving, found, record.metrics["margin"])
            ]
        return []

    def responses(self, versions: Mapping[str, int], ensemble: str) -> list[Response]:
        """What an ensemble of these versions has to answer for each image. Raises Refused."""
        request = self.system.ensemble(ensemble).sample_inputs
        try:
            pipeline = Pipeline(self.system, self.repository, versions=versions)
            return [pipeline.call(ensemble, request(image)) for image in self.images]
        except Exception as error:  # whatever a network does, it is this release's fault
            raise Refused(f"the new {ensemble} does not answer in one process: {error}") from error

    def difference(
        self, versions: Mapping[str, int], found: Response, expected: Response
    ) -> str | None:
        """How two responses of these versions differ by more than rounding; None if they do not."""
        folders = {name: self.repository / name / str(number) for name, number in versions.items()}
        return self.system.unlike(folders, found, expected)

    def _measured_on(self) -> str:
        if self.reference is None:
            return MANIFESTS
        return f"{self.reference.annotations.name}, {len(self.reference.annotated)} images"

    def _metrics(self, versions: Mapping[str, int]) -> Metrics:
        if not versions:  # before the first release nothing serves
            return {}
        if self.reference is None:
            return recorded(self.repository, versions)
        return measure(self.repository, versions, self.reference, cache=self.cache)


def _key(repository: Path, versions: Mapping[str, int], reference: Reference) -> str:
    """Of everything that the metrics depend on."""
    folders = (repository / model / str(versions[model]) for model in sorted(versions))
    try:
        manifests = [sha256(folder / FILE_NAME) for folder in folders]
    except OSError as error:
        raise GateError(f"a version cannot be read: {error}") from error
    source = [sha256(path) for path in _code()]
    return _digest([*sorted(versions), *manifests, reference.identity, *source])


def _code() -> list[Path]:
    """The files that compose the steps and measure their responses."""
    return [Path(__file__), *sorted(Path(peopleseg.__file__).parent.rglob("*.py"))]


def _data(metrics: Metrics) -> str:
    """What recorded metrics were measured on."""
    return ", ".join({name.partition("(")[2][:-1]: None for name in metrics}) or "nothing"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
