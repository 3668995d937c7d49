"""Measure what a training step of each variant needs, to choose one that fits a machine.

  peopleseg train-memory training/configs/yolov9_t.yaml training/configs/people_unet_b0.yaml
  peopleseg train-memory training/configs/*.yaml --device cuda --json memory.json

Each YAML is run in a process of its own: one whole optimiser step on a batch of made-up images,
of the YAML's batch size and canvas, with as many people as it takes. The frozen networks that it
reads have random weights: the people UNet that the head was published with, and YOLOv9-t, or -e for
the head on features alone. Averaged weights, a teacher and the loader's workers come on top. A
variant that fails or does not fit is named, the others go on; the exit code is then 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import POSITIONAL, FileToWrite, Help
from training.device import DeviceOption


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOption):
    configs: Annotated[list[Path], POSITIONAL, Help("a variant's YAML")]
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None


def run(args: Options) -> int:
    """Measure one after the other and print a table. Returns 1 when one failed."""
    from training.memory_measuring import run as work  # torch takes seconds to import

    return work(args)
