"""Average the weights of checkpoints of one training: often better than each of them.

  peopleseg average-weights runs/unet/best.ckpt runs/unet/last.ckpt --out unet.ckpt \\
      --images val --annotations person_val.json

Averages of networks that lie near each other generalise better than one that a training happens to
end with (Izmailov et al. 2018, arXiv:1803.05407; Wortsman et al. 2022, arXiv:2203.05482); those of
separate trainings from scratch are worth nothing, so measure. The checkpoint that is written has
the first one's companions, and the metrics of the images, which it is measured on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import POSITIONAL, AnnotatedImagesOptions, FileToWrite, Help


@dataclass(frozen=True, kw_only=True)
class Options(AnnotatedImagesOptions):
    checkpoints: Annotated[list[Path], POSITIONAL, Help("two or more")]
    out: Annotated[FileToWrite, Help("the checkpoint to write")]


def run(args: Options) -> int:
    """Average, measure, write. Raises CheckpointError, and writes nothing, for unlike networks."""
    from training.averaging import run as work  # torch takes seconds to import

    return work(args)
