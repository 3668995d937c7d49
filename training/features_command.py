"""Compute what a detector sees of everybody once, for trainings of the mask head on features alone.

  peopleseg precompute-features --detector runs/yolov9_e/best.ckpt \\
      --images train --annotations person_train.json --out features/train

Of each image's first ten people with a mask it writes the roi-aligned features in FP16 and the
label maps to one file, called by the image's id. A command that was interrupted goes on where it
was: files that are there are kept. features.json says what the features were computed with; a
folder with other settings is refused.
"""

import argparse
from pathlib import Path

from peopleseg.cli.options import fraction
from peopleseg.cli.output import folder_to_write
from training.device import add_device_option

PADDING = 0.1  # as published, like the resize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg precompute-features`."""
    parser.add_argument(
        "--detector",
        type=Path,
        required=True,
        metavar="CKPT",
        help="a YOLOv9's, or a version folder",
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the images")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument(
        "--out", type=folder_to_write, required=True, metavar="DIR", help="folder to write to"
    )
    parser.add_argument(
        "--padding",
        type=fraction,
        default=PADDING,
        metavar="PART",
        help="around boxes, at each edge, in parts of the side (%(default)s)",
    )
    parser.add_argument(
        "--resize",
        choices=("stretch", "letterbox"),
        default="stretch",
        help="how an image becomes a square (%(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes that load (%(default)s)"
    )
    add_device_option(parser)


def run(args: argparse.Namespace) -> int:
    """Compute what is missing. Raises AnnotationError, CheckpointError, FeaturesError."""
    from training.precomputing import run as work  # torch takes seconds to import

    return work(args)
