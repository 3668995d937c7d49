"""Write a published detector as the next version of the repository's."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from conversion.detectors.imported import ImportedDetector, Wanted, import_detector
from conversion.export.exporter import write_version
from conversion.export.family import Source
from conversion.export.job import Job
from conversion.export.runners import torch_runner
from conversion.export.settings import Settings
from conversion.people.accuracy import annotated_images, detector_metrics
from peopleseg.networks.checkpoint import Loaded
from peopleseg.repository.manifest import sha256


def import_version(
    path: Path,
    wanted: Wanted,
    images: Sequence[Path],
    settings: Settings,
    *,
    repository: Path,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Path:
    """The version folder, written whole or not at all; arguments as of `conversion.export`.

    Raises ExportError when the file is not what `wanted` says or does not compare, OSError.
    """
    on_stage("reading the file")
    exportable = import_detector(path, wanted)
    on_stage(f"features are {exportable.dims['features']}")
    metrics: dict[str, float] = {}
    if settings.images is not None and settings.annotations is not None:
        on_stage("measuring the file")
        metrics, settings = _measured(exportable, settings)
    loaded = Loaded("yolov9", exportable.dims, exportable.reference, metrics)
    source = Source(exportable, loaded)
    return write_version(Job(source, sha256(path), images, settings, repository, on_stage))


def _measured(
    exportable: ImportedDetector, settings: Settings
) -> tuple[dict[str, float], Settings]:
    """The file's metrics, and the settings with what they are of."""
    assert settings.annotations is not None
    images = annotated_images(settings)
    metrics = detector_metrics(torch_runner(exportable.reference, exportable.model), images)
    data = settings.accuracy_data or f"{settings.annotations.name}, {len(images)} images"
    return metrics, replace(settings, accuracy_data=data)
