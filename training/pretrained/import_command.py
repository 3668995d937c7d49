"""Make a checkpoint of another project's published weights, to validate, export or train on.

  peopleseg import-weights people_unet best_model_b0_0.8741.pth --out people_unet.ckpt
  peopleseg import-weights hierarchical_head best_model_b0_64x48_0.8545.pth --out head.ckpt
  peopleseg import-weights yolov9 gelan-c-weights.pt --keep-class 0 --out detector.ckpt

The variant is found in the file. Every entry has to have its place in the network: what has none,
or is missing, is listed, and nothing is written. Files are read as weights only; the message about
one that pickles whole objects (as the YOLOv9 project's own files do) says how to convert it.
"""

import argparse
from pathlib import Path

from peopleseg.cli.output import file_to_write

KINDS = ("people_unet", "hierarchical_head", "yolov9")  # families of networks, as checkpoints name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg import-weights`."""
    parser.add_argument("kind", choices=KINDS, help="what the file holds")
    parser.add_argument("file", type=Path, metavar="FILE", help="the published weights")
    parser.add_argument(
        "--out", type=file_to_write, required=True, metavar="CKPT", help="the checkpoint to write"
    )
    parser.add_argument(
        "--keep-class",
        type=int,
        metavar="INDEX",
        help="of a yolov9 with several classes, keep this one: 0 is the person of COCO and the "
        "body of wholebody25",
    )
    parser.add_argument(
        "--roi-size",
        type=_size_hw,
        metavar="HxW",
        help="of a hierarchical_head, the rois it was trained on, as in its published name (64x48)",
    )


def run(args: argparse.Namespace) -> int:
    """Import one file. Writes nothing when it does not fit: raises WeightsError."""
    from training.pretrained.importing import run as work  # torch takes seconds to import

    return work(args)


def _size_hw(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)  # argparse reports a ValueError as wrong usage
