"""Measure checkpoints on annotated images and compare them.

  peopleseg validate runs/unet/best.ckpt --images val --annotations person_val.json
  peopleseg validate 'runs/*/best.ckpt' --images val --annotations person_val.json \\
      --json metrics.json --sheets sheets

  peopleseg validate runs/deeplab/best.ckpt --images JPEGImages --annotations labels --size 320

Printed is a table for each family of networks, the best of each metric marked with *.

Annotated with people in COCO format: people_seg_miou of people UNets; box_ap, box_ap50 and
box_recall of detectors; instance_miou, roi_miou, two_class_miou and boundary_iou of mask heads on
true boxes and, when a detector is in the checkpoint or given, mask_ap and mask_ap50 on the boxes
that it finds. Annotated with label maps, a folder of PNG files or a list of Pascal VOC
(ImageSets/Segmentation/val.txt): miou_present, miou, pixel_accuracy and boundary_iou of networks of
the semantic system, and the IoU of each class. Annotated with references to people, as
generate-expressions writes them: oiou, right_person, mask_ap, pose_ap and pckh of networks that
answer prompts on their own, oks and pckh of pose networks on true boxes.

A checkpoint that cannot be measured is named, the others go on; the exit code is then 1. So it is
with one that says that it was trained on some of the images, unless --leak-ok is given.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import (
    POSITIONAL,
    AnnotatedImagesOptions,
    Count,
    FileToWrite,
    FolderToWrite,
    Help,
    LimitOption,
)
from training.device import DeviceOption


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOption, LimitOption, AnnotatedImagesOptions):
    annotations: Annotated[
        Path, Help("people in COCO format; label maps' folder or Pascal VOC list; references")
    ]
    checkpoints: Annotated[list[str], POSITIONAL, Help("a file, or a pattern in quotes")]
    detector: Annotated[
        Path | None,
        Help(
            "finds the boxes of mask heads without a detector of their own: a checkpoint, or a "
            "version folder"
        ),
    ] = None
    size: Annotated[
        Count | None,
        Help("of networks measured on label maps or by prompts: side of the square seen (512)"),
    ] = None
    together: Annotated[
        bool,
        Help("of networks measured on label maps: also the mean of the probabilities of all"),
    ] = False
    leak_ok: Annotated[
        bool, Help("also measure on images that a network was trained on; the record says so")
    ] = False
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None
    sheets: Annotated[
        FolderToWrite | None, Help("write PNGs of what is true and what is found for each")
    ] = None


def run(args: Options) -> int:
    """Measure and report. Returns 1 when a checkpoint failed. Raises PeoplesegError."""
    from training.validation.measuring import run as work  # torch takes seconds to import

    return work(args)
