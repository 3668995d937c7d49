"""Compute what a detector sees of everybody once, for trainings of the mask head on features alone.

  peopleseg precompute-features --detector runs/yolov9_e/best.ckpt \\
      --images train --annotations person_train.json --out features/train

Of each image's first ten people with a mask it writes the roi-aligned features in FP16 and the
label maps to one file, called by the image's id. A command that was interrupted goes on where it
was: files that are there are kept. features.json says what the features were computed with; a
folder with other settings is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from peopleseg.cli.options import AnnotatedImagesOptions, FolderToWrite, Fraction, Help, Whole
from training.device import DeviceOption

PADDING = 0.1  # as published, like the resize


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOption, AnnotatedImagesOptions):
    detector: Annotated[Path, Help("a YOLOv9's checkpoint, or a version folder")]
    out: Annotated[FolderToWrite, Help("folder to write to")]
    padding: Annotated[Fraction, Help("around boxes, at each edge, in parts of the side")] = PADDING
    resize: Annotated[Literal["stretch", "letterbox"], Help("how an image becomes a square")] = (
        "stretch"
    )
    workers: Annotated[Whole, Help("processes that load")] = 2


def run(args: Options) -> int:
    """Compute what is missing. Raises AnnotationError, CheckpointError, FeaturesError."""
    from training.precomputing import run as work  # torch takes seconds to import

    return work(args)
