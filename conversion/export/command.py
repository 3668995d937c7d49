"""Make a checkpoint the next version of its model in the repository.

  peopleseg export runs/yolov9_t/best.ckpt --pictures data/people/val
  peopleseg export runs/unet/best.ckpt --pictures data/people/val --precision int8 \\
      --images data/people/val --annotations data/people/person_val.json
  peopleseg export runs/feature_head/best.ckpt --move-first-conv
  peopleseg export runs/yolov9_t/best.ckpt --precision fp16 --accelerator tensorrt

The checkpoint says which model it is of. The exported graph is compared with the network in torch,
on pictures and on random numbers, in several batch sizes, and run under the ONNX Runtime of the
pinned server image. Out of tolerance nothing is written; else the version folder appears whole,
with a manifest of what was compared. `peopleseg release` then makes it serve.

INT8 is calibrated on --pictures (a hundred like those to be served) and accepted when its accuracy
on --images is at most 1 point lower. TensorRT engines are built on the GPU that is to run them.

Exit code 0 when the version is there, 1 when it was refused, 2 for wrong usage or when something
that it takes is not on this machine.
"""

import argparse
import errno
import shutil
import sys
from pathlib import Path

from clients.pictures import find_pictures
from clients.positive import positive
from conversion.export.settings import (
    ACCELERATORS,
    PRECISIONS,
    STORED,
    ExportError,
    MissingRequirement,
    Settings,
)
from peopleseg.manifest import Manifest
from serving.repository_option import add_repository_option

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg export`."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(%(default)s)")
    parser.add_argument(
        "--accelerator",
        choices=ACCELERATORS,
        default="cpu",
        help="what it is made for; TensorRT gives an engine, the others ONNX (%(default)s)",
    )
    add_repository_option(parser)
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="to compare on, and to calibrate INT8 with (some example pictures)",
    )
    int8 = parser.add_argument_group("for --precision int8")
    int8.add_argument("--images", type=Path, metavar="DIR", help="pictures to measure accuracy on")
    int8.add_argument("--annotations", type=Path, metavar="FILE", help="their people, COCO format")
    int8.add_argument("--limit", type=positive, metavar="N", help="measure on the first N of them")
    heads = parser.add_argument_group("for mask heads on detector features")
    heads.add_argument(
        "--move-first-conv",
        action="store_true",
        help="write a version of the detector too, which does the head's leading 1x1 convolution: "
        "fewer channels travel",
    )
    heads.add_argument(
        "--roi-padding",
        type=float,
        metavar="X",
        help="each side of a box was widened by X of it at both ends in training (as published: "
        "0.1)",
    )
    parser.add_argument(
        "--weights",
        choices=STORED,
        default="fp16",
        help="how an FP32 graph stores its weights: fp16 is half as large (%(default)s)",
    )
    parser.add_argument(
        "--skip-pinned-runtime",
        action="store_true",
        help="do not run it under the server image's ONNX Runtime; the manifest says so",
    )
    parser.add_argument("--accuracy-data", default="", metavar="TEXT", help="it was validated on")
    parser.add_argument("--data-licence", default="", metavar="TEXT", help="of the training data")


def run(args: argparse.Namespace) -> int:
    """Export one checkpoint, and print the folder of each version that was written."""
    fault = _wrong_usage(args)
    if fault:
        print(f"peopleseg: {fault}", file=sys.stderr)
        return EXIT_USAGE
    try:
        return _export(args)
    except MissingRequirement as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_USAGE
    except ExportError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"peopleseg: {_no_room(error, args.model_repository)}", file=sys.stderr)
        return EXIT_FAILED


def _wrong_usage(args: argparse.Namespace) -> str | None:
    if not args.checkpoint.is_file():
        return f"there is no checkpoint {args.checkpoint}; name a file that a training wrote"
    measured = args.images is not None and args.annotations is not None
    if args.precision == "int8" and not (measured and args.pictures):
        return (
            "--precision int8 needs --pictures to calibrate on, and --images and --annotations to "
            "measure what it costs"
        )
    if args.precision == "int8" and args.accelerator == "cuda":
        return (
            "ONNX Runtime runs INT8 graphs on the processor and through TensorRT; on CUDA take "
            "--precision fp16"
        )
    if args.images is not None and not args.images.is_dir():
        return f"--images {args.images}: there is no such folder"
    if args.annotations is not None and not args.annotations.is_file():
        return f"--annotations {args.annotations}: there is no such file"
    if args.roi_padding is not None and not 0 <= args.roi_padding < 1:
        return f"--roi-padding {args.roi_padding} must be in [0, 1): parts of a box's side"
    return None


def _export(args: argparse.Namespace) -> int:
    from conversion.export.engine import require
    from conversion.export.exporter import export
    from conversion.export.runners import require_cuda
    from training.checkpoint import CheckpointError

    if args.accelerator == "cuda":
        require_cuda()
    if args.accelerator == "tensorrt":
        require()
    try:
        pictures = _pictures(args.pictures, args.model_repository)
    except FileNotFoundError as error:
        print(f"peopleseg: --pictures {args.pictures}: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        versions = export(
            args.checkpoint,
            pictures,
            Settings(
                precision=args.precision,
                accelerator=args.accelerator,
                stored=args.weights,
                roi_padding=args.roi_padding,
                move_first_conv=args.move_first_conv,
                check_pinned_runtime=not args.skip_pinned_runtime,
                images=args.images,
                annotations=args.annotations,
                limit=args.limit,
                accuracy_data=args.accuracy_data,
                data_licence=args.data_licence,
            ),
            repository=args.model_repository,
            on_stage=lambda stage: print(f"{stage} ...", file=sys.stderr, flush=True),
        )
    except CheckpointError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_FAILED
    for version in versions:
        print(f"{version}: {_summary(Manifest.read(version))}")
    return EXIT_OK


def _pictures(folder: Path | None, repository: Path) -> list[Path]:
    """Raises FileNotFoundError for a folder without any."""
    if folder is not None:
        return find_pictures(folder, leave_out=repository)
    from clients.demo import example_pictures

    return example_pictures()


def _summary(manifest: Manifest) -> str:
    size = f"{manifest.bytes / 2**20:.1f} MiB, {manifest.precision} on {manifest.accelerator}"
    gate = manifest.accuracy_gate
    if not gate:
        return size
    return f"{size}, {gate['figure']} {gate['before']:.4f} before and {gate['after']:.4f} after"


def _no_room(error: OSError, repository: Path) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return str(error)
    free = shutil.disk_usage(repository).free / 2**20
    return (
        f"no room to write the version: {error}; {repository} has {free:.0f} MiB free; nothing was "
        "written, make room and export again"
    )
