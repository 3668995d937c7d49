"""Make a checkpoint the next version of its model in the repository.

  peopleseg export runs/yolov9_t/best.ckpt --examples data/people/val
  peopleseg export runs/unet/best.ckpt --examples data/people/val --precision int8 \\
      --images data/people/val --annotations data/people/person_val.json
  peopleseg export runs/yolov9_t/best.ckpt --precision fp16 --accelerator tensorrt
  peopleseg export runs/deeplab/best.ckpt --size 384 --precision int8 --examples voc/val \\
      --images voc/val --annotations voc/labels

The checkpoint says which model it is of. The exported graph is compared with the network in torch,
on images and on random numbers, in several batch sizes, and run under the ONNX Runtime of the
pinned server image. Out of tolerance nothing is written; else the version folder appears whole,
with a manifest of what was compared. `peopleseg release` then makes it serve.

INT8 is calibrated on --examples (a hundred like those to be served) and accepted when its accuracy
on --images is at most --most-loss lower. TensorRT engines are built on the GPU that is to run them.

Exit code 0 when the version is there, 1 when it was refused, 2 for wrong usage or when something
that it takes is not on this machine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from conversion.export.options import (
    VersionOptions,
    print_version,
    settings_of,
    tell_stage,
    wrong_usage,
)
from conversion.export.settings import ExportError
from peopleseg.cli.options import POSITIONAL, Fraction, Help

_SEMANTIC = Parameter(group="For semantic networks")
_WITH = Parameter(name="--with")


@dataclass(frozen=True, kw_only=True)
class Options(VersionOptions):
    checkpoint: Annotated[Path, POSITIONAL, Help("a file that a training wrote")]
    roi_padding: Annotated[
        Fraction | None,
        Help(
            "each side of a box was widened by so much of it at both ends in training (as "
            "published: 0.1)"
        ),
        Parameter(group="For mask heads on detector features"),
    ] = None
    size: Annotated[
        int | None,
        Help(
            "side of the square that images are brought into, 256 to 640 pixels in steps of 32 (as "
            "in training where the checkpoint says so, else 512)"
        ),
        _SEMANTIC,
    ] = None
    beside: Annotated[
        Path | None,
        Help("a second checkpoint of the same classes: both serve as one, the mean of the two"),
        _WITH,
        _SEMANTIC,
    ] = None


def run(args: Options) -> int:
    """Export one checkpoint, and print the folder of the version."""
    return print_version(args, _wrong_usage(args), lambda images: _export(args, images))


def _wrong_usage(args: Options) -> str | None:
    for checkpoint in filter(None, (args.checkpoint, args.beside)):
        if not checkpoint.is_file():
            return f"there is no checkpoint {checkpoint}; name a file that a training wrote"
    return wrong_usage(args)


def _export(args: Options, images: list[Path]) -> Path:
    """Raises ExportError, OSError."""
    from conversion.export.exporter import export
    from peopleseg.networks.checkpoint import CheckpointError

    options = {"roi_padding": args.roi_padding, "size": args.size}
    try:
        return export(
            args.checkpoint,
            images,
            settings_of(args, options=options),
            repository=args.model_repository,
            beside=args.beside,
            on_stage=tell_stage,
        )
    except CheckpointError as error:
        raise ExportError(str(error)) from error
