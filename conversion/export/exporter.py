"""Export a checkpoint as the next version of its model in the repository."""

from collections.abc import Callable, Sequence
from pathlib import Path

from conversion.export.families import joined, of_network
from conversion.export.family import Source
from conversion.export.job import Job
from conversion.export.settings import ExportError, Settings
from conversion.export.version import make_version
from peopleseg.errors import InvalidInput
from peopleseg.networks.checkpoint import load_network
from peopleseg.repository.manifest import sha256
from peopleseg.repository.version_folder import publish, scratch_folder


def export(
    checkpoint: Path,
    images: Sequence[Path],
    settings: Settings | None = None,
    *,
    repository: Path,
    beside: Path | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Path:
    """Write the next version folder of the checkpoint's model, whole or not at all.

    Returns it. images: files to compare on, and to calibrate INT8 with. beside: a checkpoint whose
    network serves together with the first one's, as one. `on_stage` is told what begins.

    Raises ExportError when the result is not good enough or something that it takes is missing,
    CheckpointError when it cannot be made of this checkpoint, OSError where the disk is full.
    Nothing is written then.
    """
    settings = settings or Settings()
    on_stage("reading the checkpoint")
    files = [checkpoint] if beside is None else [checkpoint, beside]
    digest = "+".join(map(sha256, files))
    loaded = joined([load_network(file) for file in files])
    source = Source(of_network(loaded, **settings.options), loaded)
    return write_version(Job(source, digest, images, settings, repository, on_stage))


def write_version(job: Job) -> Path:
    """Write the next version folder of a network, as `export` does."""
    with scratch_folder(job.repository / job.name) as scratch:
        try:
            make_version(scratch, job).write(scratch)
        except InvalidInput as error:
            raise ExportError(f"{error}; nothing was written") from error
        job.on_stage("publishing")
        return publish(scratch)
