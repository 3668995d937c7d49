"""What to make of a checkpoint, and what goes wrong with that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from peopleseg.errors import PeoplesegError, WrongUsage

Precision = Literal["fp32", "fp16", "int8"]
Accelerator = Literal["cpu", "cuda", "tensorrt"]
Stored = Literal["fp16", "fp32"]


class ExportError(PeoplesegError):
    """A checkpoint was not exported; the message says why. Nothing was written."""


class MissingRequirement(ExportError, WrongUsage):
    """What the export takes is not on this machine; the message says how to get it, or where."""


@dataclass(frozen=True)
class Settings:
    """Every choice of one export."""

    precision: str = "fp32"  # of the computation; a Precision
    accelerator: str = "cpu"  # an Accelerator
    stored: str = "fp16"  # how an FP32 graph stores its large weights; a Stored
    options: Mapping[str, Any] = field(default_factory=dict)  # of some families; None: left out
    check_pinned_runtime: bool = True
    # For INT8: images and their annotations, and how many of them to measure on.
    images: Path | None = None
    annotations: Path | None = None
    limit: int | None = None
    most_loss: float = 0.01  # of the metric of accuracy, by INT8: one point
    accuracy_data: str = ""  # what the checkpoint was measured on
    data_licence: str = ""  # of the training data
    weights_licence: str = ""  # of weights that come from somebody else
