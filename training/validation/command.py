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

import argparse
from pathlib import Path

from peopleseg.cli.options import positive
from peopleseg.cli.output import file_to_write, folder_to_write
from training.device import add_device_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg validate`."""
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="a file, or a pattern in quotes"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the images")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="take the first N images")
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="CHECKPOINT",
        help="finds the boxes of mask heads without a detector of their own; or a version folder",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the metrics here as well"
    )
    parser.add_argument(
        "--sheets",
        type=folder_to_write,
        metavar="DIR",
        help="write a PNG of true and found people for each",
    )
    add_device_option(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and report. Returns 1 when a checkpoint failed. Raises PeoplesegError."""
    from training.validation.measuring import run as work  # torch takes seconds to import

    return work(args)
