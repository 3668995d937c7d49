"""Average the weights of checkpoints of one training: often better than each of them.

  peopleseg average-weights runs/unet/best.ckpt runs/unet/last.ckpt --out unet.ckpt \\
      --images val --annotations person_val.json

Averages of networks that lie near each other generalise better than one that a training happens to
end with (Izmailov et al. 2018, arXiv:1803.05407; Wortsman et al. 2022, arXiv:2203.05482); those of
separate trainings from scratch are worth nothing, so measure. The checkpoint that is written has
the first one's companions, and the metrics of the images, which it is measured on.
"""

import argparse
from pathlib import Path

from peopleseg.cli.output import file_to_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg average-weights`."""
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="two or more"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the images")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument(
        "--out", type=file_to_write, required=True, metavar="CKPT", help="the checkpoint to write"
    )


def run(args: argparse.Namespace) -> int:
    """Average, measure, write. Raises CheckpointError, and writes nothing, for unlike networks."""
    from training.averaging import run as work  # torch takes seconds to import

    return work(args)
