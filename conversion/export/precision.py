"""From the FP32 graph to the artifact in the precision that was asked for."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from conversion.export import parity
from conversion.export.fp16 import to_fp16
from conversion.export.inputs import calibration_inputs
from conversion.export.job import Job
from conversion.export.onnx_export import halve_weights
from conversion.export.parity import Tolerances
from peopleseg.coco import load_pictures


def convert(full: Path, artifact: Path, job: Job) -> tuple[Tolerances, dict[str, Any]]:
    """Write the artifact; how close to torch it has to be, and for INT8 its accuracy gate.

    Raises ExportError when there is none that is good enough.
    """
    settings = job.settings
    if settings.precision == "int8":
        job.begin("quantising")
        return parity.QUANTISED, _quantise(full, artifact, job)
    if settings.accelerator == "tensorrt":  # the engine's builder chooses where FP16 is used
        full.rename(artifact)
        return parity.EXACT, {}
    if settings.precision == "fp16":
        to_fp16(full, artifact)
        return parity.HALF, {}
    if settings.stored == "fp16":
        halve_weights(full, artifact)
        return parity.HALF_WEIGHTS, {}
    full.rename(artifact)
    return parity.EXACT, {}


def _quantise(full: Path, artifact: Path, job: Job) -> dict[str, Any]:
    # Needed for INT8 alone, and slow to import.
    from conversion.export.accuracy import accuracy_of
    from conversion.export.int8 import quantise

    settings, exportable = job.settings, job.source.exportable
    assert settings.images is not None and settings.annotations is not None
    annotated = load_pictures(settings.annotations, settings.images)[: settings.limit]
    reader = job.reader(job.source)
    calibration = calibration_inputs(job.pictures, exportable, reader)
    accuracy = accuracy_of(exportable, annotated, reader)
    signed = settings.accelerator == "tensorrt"
    found = quantise(full, artifact, calibration, accuracy, signed=signed)
    return asdict(found) | {"pictures": len(annotated), "calibrated_on": len(calibration)}
