"""Make up expressions that mean one person each, from annotations of everybody.

  peopleseg generate-expressions --annotations person_train.json --images train --out refs.json
  peopleseg generate-expressions --annotations person_ccp.json --images images --out refs.json \\
      --parts person_ccp.json
  peopleseg generate-expressions --annotations person_train.json --images train \\
      --sentences sentences.json --out refs.json

An expression tells where somebody is, how large, in which pose (by keypoints) or in which colour
(by the pixels of the torso). It is surely true of one person of the image and surely false of all
others, so that there is none for images with a crowd. People without one are written too, to be
pointed at. The file is RefHuman's, with scribbles.

With --parts, clothes and their colours are known, and only the main person of each image is:
expressions are of clothes alone, others in the image may fit them, and the file says so
("everybody": false). Besides, images are put side by side, so that there is one to choose.

With --sentences the texts are those that people wrote, in a file of RefCOCO's kind: a JSON list of
image_id, ann_id and sentence. They are for measuring.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import AnnotatedImagesOptions, FileToWrite, Help, LimitOption, Whole


@dataclass(frozen=True, kw_only=True)
class Options(AnnotatedImagesOptions, LimitOption):
    out: Annotated[FileToWrite, Help("the file of references to write")]
    parts: Annotated[
        Path | None, Help("COCO file with parts[] of each annotation: clothes of main persons")
    ] = None
    sentences: Annotated[
        Path | None, Help("JSON list of what people wrote, in place of expressions")
    ] = None
    seed: Annotated[Whole, Help("of the choice of expressions and words")] = 0


def run(args: Options) -> int:
    """Write the file. Returns 1 when an image failed. Raises PeoplesegError, OSError."""
    from training.referring.generate import run as work  # torch takes seconds to import

    return work(args)
