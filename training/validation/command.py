"""Measure checkpoints on annotated images and compare them.

  peopleseg validate runs/unet/best.ckpt --images val --annotations person_val.json
  peopleseg validate 'runs/*/best.ckpt' --images val --annotations person_val.json \\
      --json metrics.json --sheets sheets

Printed is a table for each family of networks, the best of each metric marked with *:
people_seg_miou of people UNets; box_ap, box_ap50 and box_recall of detectors; instance_miou,
roi_miou, two_class_miou and boundary_iou of mask heads on true boxes and, when a detector is in the
checkpoint or given, mask_ap and mask_ap50 on the boxes that it finds. A checkpoint that cannot be
measured is named, the others go on; the exit code is then 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import (
    POSITIONAL,
    AnnotatedImagesOptions,
    FileToWrite,
    FolderToWrite,
    Help,
    LimitOption,
)
from training.device import DeviceOption


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOption, LimitOption, AnnotatedImagesOptions):
    checkpoints: Annotated[list[str], POSITIONAL, Help("a file, or a pattern in quotes")]
    detector: Annotated[
        Path | None,
        Help(
            "finds the boxes of mask heads without a detector of their own: a checkpoint, or a "
            "version folder"
        ),
    ] = None
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None
    sheets: Annotated[
        FolderToWrite | None, Help("write a PNG of true and found people for each")
    ] = None


def run(args: Options) -> int:
    """Measure and report. Returns 1 when a checkpoint failed. Raises PeoplesegError."""
    from training.validation.measuring import run as work  # torch takes seconds to import

    return work(args)
