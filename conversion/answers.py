"""What a set of versions answers, in one process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from peopleseg.checks.reading import TENSORRT_ARTIFACT
from peopleseg.repository.manifest import ArtifactError, read_manifest
from peopleseg.systems.known import ENSEMBLES, system_of
from peopleseg.systems.pipeline import Pipeline

Answer = Mapping[str, NDArray[Any]]  # tensors by name, as an ensemble answers


def reference_answers(
    repository: Path, versions: Mapping[str, int], ensemble: str, images: Sequence[bytes]
) -> list[Answer]:
    """What an ensemble of these versions has to answer when each encoded image tries it.

    Raises what Pipeline and the steps raise.
    """
    pipeline = Pipeline(system_of(ensemble), repository, versions=versions)
    question = ENSEMBLES[ensemble].question
    return [pipeline.answer(ensemble, question(image)) for image in images]


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
