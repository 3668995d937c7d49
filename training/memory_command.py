"""Measure what a training step of each variant needs, to choose one that fits a machine.

  peopleseg train-memory training/configs/yolov9_t.yaml training/configs/people_unet_b0.yaml
  peopleseg train-memory training/configs/*.yaml --device cuda --json memory.json

Each YAML is run in a process of its own: one whole optimiser step on a batch of made-up images,
of the YAML's batch size and canvas, with as many people as it takes. The frozen networks that it
reads have random weights: the people UNet that the head was published with, and YOLOv9-t, or -e for
the head on features alone. Averaged weights, a teacher and the loader's workers come on top. A
variant that fails or does not fit is named, the others go on; the exit code is then 1.
"""

import argparse
from pathlib import Path

from peopleseg.cli.output import file_to_write
from training.device import add_device_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg train-memory`."""
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="a variant's YAML")
    add_device_option(parser)
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the metrics here as well"
    )


def run(args: argparse.Namespace) -> int:
    """Measure one after the other and print a table. Returns 1 when one failed."""
    from training.memory_measuring import run as work  # torch takes seconds to import

    return work(args)
