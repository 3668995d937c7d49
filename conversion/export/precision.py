"""From the FP32 graph to the artifact in the precision that was asked for."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from conversion.export import parity
from conversion.export.blocked_layout import keep_blocked
from conversion.export.channels_last import channels_last
from conversion.export.early_convolution import convolve_early
from conversion.export.fp16 import to_fp16
from conversion.export.half_size import double_late
from conversion.export.job import Job
from conversion.export.onnx_export import halve_weights, save
from conversion.export.tolerances import Tolerances


class Converted(NamedTuple):
    """What there is to say of an artifact."""

    tolerances: Tolerances  # how close to torch it has to be
    weights: str  # how they are stored
    accuracy_gate: dict[str, Any]  # of INT8


def convert(full: Path, artifact: Path, job: Job) -> Converted:
    """Write the artifact. Raises ExportError when there is none that is good enough."""
    settings = job.settings
    if settings.accelerator == "cpu" and settings.precision != "fp16":
        save(channels_last(onnx.load(full)), full)
    if settings.precision == "int8":
        job.begin("quantising")
        return Converted(parity.QUANTISED, "int8", _quantise(full, artifact, job))
    if settings.accelerator == "tensorrt":  # the engine's builder chooses where FP16 is used
        full.rename(artifact)
        return Converted(parity.EXACT, settings.precision, {})
    if settings.precision == "fp16":
        to_fp16(full, artifact)
        return Converted(parity.HALF, "fp16", {})
    if settings.accelerator == "cpu":
        # in the order in which one rewriting can read the other's graph; the responses stay
        save(keep_blocked(double_late(convolve_early(onnx.load(full)))), full)
    if settings.stored == "fp16":
        halve_weights(full, artifact)
        return Converted(parity.HALF_WEIGHTS, "fp16", {})
    full.rename(artifact)
    return Converted(parity.EXACT, "fp32", {})


def _quantise(full: Path, artifact: Path, job: Job) -> dict[str, Any]:
    # Needed for INT8 alone, and slow to import.
    from conversion.export.int8 import quantise

    settings = job.settings
    annotated = job.family.annotated(settings)
    calibration = job.inputs.calibration(job.images)
    accuracy = job.family.accuracy(job.source.exportable, annotated, job.inputs)
    signed = settings.accelerator == "tensorrt"
    most_loss = settings.most_loss
    found = quantise(full, artifact, calibration, accuracy, signed=signed, most_loss=most_loss)
    return asdict(found) | {"images": len(annotated), "calibrated_on": len(calibration)}
