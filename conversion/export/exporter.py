"""Export a checkpoint as the next version of its model in the repository."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from conversion.export.exportable import of_detector, of_network
from conversion.export.first_conv import ProjectedDetector, move_first_conv
from conversion.export.job import Job, Source
from conversion.export.settings import ExportError, Settings
from conversion.export.version import make_version
from peopleseg.errors import InvalidInput
from peopleseg.networks.checkpoint import Loaded, load_network
from peopleseg.networks.onnx_detector import OnnxDetector
from peopleseg.repository.manifest import sha256
from peopleseg.repository.version_folder import publish, scratch_folder


def export(
    checkpoint: Path,
    pictures: Sequence[Path],
    settings: Settings | None = None,
    *,
    repository: Path,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[Path]:
    """Write the next version folder of the checkpoint's model, whole or not at all.

    Returns it; with `move_first_conv` that of the detector, then that of the head. pictures: files
    to compare on, and to calibrate INT8 with. `on_stage` is told what begins.

    Raises ExportError when the result is not good enough or something that it takes is missing,
    CheckpointError when it cannot be made of this checkpoint, OSError where the disk is full.
    Nothing is written then; only when the last step fails, the renaming of a head that was to
    follow its detector, is that detector there without it, and nothing takes it.
    """
    settings = settings or Settings()
    on_stage("reading the checkpoint")
    digest = sha256(checkpoint)
    sources = _sources(load_network(checkpoint), settings)
    return write_versions(sources, digest, pictures, settings, repository, on_stage)


def write_versions(
    sources: Sequence[Source],
    digest: str,
    pictures: Sequence[Path],
    settings: Settings,
    repository: Path,
    on_stage: Callable[[str], None],
) -> list[Path]:
    """Write the next version folder of each network, as `export` does; digest: sha256 of the file
    that they come from."""
    with ExitStack() as scratches:
        filled = []
        for source in sources:
            job = Job(source, digest, pictures, settings, repository, on_stage)
            scratch = scratches.enter_context(scratch_folder(repository / job.name))
            try:
                make_version(scratch, job).write(scratch)
            except InvalidInput as error:
                raise ExportError(f"{error}; nothing was written") from error
            filled.append(scratch)
        on_stage("publishing")
        return [publish(scratch) for scratch in filled]


def _sources(loaded: Loaded, settings: Settings) -> list[Source]:
    """What versions are made of: one, or a detector and a head that shares its work."""
    whole = Source(of_network(loaded, roi_padding=settings.roi_padding), loaded)
    if not settings.move_first_conv:
        return [whole]
    detector: Any = loaded.companions.get("detector")
    if detector is None or "roi_features" not in whole.exportable.reads:
        raise ExportError(
            "--move-first-conv takes a head on features and the detector that it was trained with, "
            f"both in one checkpoint; this {loaded.family}'s has not both"
        )
    if isinstance(detector, OnnxDetector):
        raise ExportError(
            f"--move-first-conv changes the detector, and this {loaded.family} was trained on a "
            "served graph, which stays as it is; export without it"
        )
    projection, head = move_first_conv(loaded.network)
    companions = loaded.companions | {"detector": ProjectedDetector(detector, projection)}
    rest_loaded = replace(loaded, network=head, companions=companions)
    rest = of_network(rest_loaded, roi_padding=settings.roi_padding)
    rest = replace(rest, dims=loaded.dims, settings=rest.settings | {"first_conv": "in yolov9"})
    extended = replace(
        of_detector(detector, projection), settings={"first_conv": f"of {loaded.family}"}
    )
    return [Source(extended, loaded), Source(rest, rest_loaded, unmoved=whole)]
