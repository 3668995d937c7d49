"""Guess label maps of images that have none, to train semantic networks on beside drawn ones.

  peopleseg guess-labels --images photos --teacher nanodet.onnx --out guessed
  peopleseg guess-labels --images photos --teacher nanodet.onnx --out guessed \\
      --annotations person_train.json --leave-out labels

The classes are Pascal VOC's. Objects are found by a published detector of COCO's classes (a
NanoDet, as ONNX), and GrabCut tells them from what is around them. People are those of the COCO
file, which has everybody, else those whom the networks of the model repository find. What is not
sure is 255, no known class. Images that are broken are named and left out. An image whose label map
is there is left as it is, so that a stopped command goes on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import Count, FolderToWrite, Help, LimitOption, RepositoryOption


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption, LimitOption):
    images: Annotated[Path, Help("folder of the images")]
    teacher: Annotated[Path, Help("a NanoDet of COCO's classes, as ONNX")]
    out: Annotated[FolderToWrite, Help("for the label maps")]
    annotations: Annotated[Path | None, Help("everybody in the images, in COCO format")] = None
    leave_out: Annotated[Path | None, Help("folder of label maps, whose images are not taken")] = (
        None
    )
    threads: Annotated[Count, Help("of each network")] = 2


def run(args: Options) -> int:
    """Write the label maps. Returns 1 when an image failed. Raises PeoplesegError, OSError."""
    from training.semantic.guess_labels import run as work  # torch takes seconds to import

    return work(args)
