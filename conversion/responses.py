"""How a set of versions responds, in one process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from peopleseg.checks.reading import TENSORRT_ARTIFACT
from peopleseg.repository.manifest import ArtifactError, read_manifest
from peopleseg.systems.known import ENSEMBLES, system_of
from peopleseg.systems.pipeline import Pipeline

Response = Mapping[str, NDArray[Any]]  # tensors by name, as an ensemble answers


def reference_responses(
    repository: Path, versions: Mapping[str, int], ensemble: str, images: Sequence[bytes]
) -> list[Response]:
    """What an ensemble of these versions has to answer when each encoded image tries it.

    Raises what Pipeline and the steps raise.
    """
    pipeline = Pipeline(system_of(ensemble), repository, versions=versions)
    request = ENSEMBLES[ensemble].sample_inputs
    return [pipeline.call(ensemble, request(image)) for image in images]


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
