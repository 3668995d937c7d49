"""What the commands that make a version of a network share: options, errors, exit codes."""

import argparse
import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conversion.export.settings import (
    ACCELERATORS,
    PRECISIONS,
    STORED,
    ExportError,
    Settings,
)
from peopleseg.cli.options import add_repository_option, positive
from peopleseg.errors import WrongUsage
from peopleseg.pixels.image_files import find_images
from peopleseg.repository.manifest import Manifest


def add_version_options(parser: argparse.ArgumentParser) -> None:
    """Precision, what it is made for and checked with, where it goes, what its manifest says."""
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(%(default)s)")
    parser.add_argument(
        "--accelerator",
        choices=ACCELERATORS,
        default="cpu",
        help="what it is made for; TensorRT gives an engine, the others ONNX (%(default)s)",
    )
    add_repository_option(parser, writes=True)
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="DIR",
        help="to compare on, and to calibrate INT8 with (some example images)",
    )
    measured = parser.add_argument_group("to measure accuracy, as --precision int8 has to")
    measured.add_argument("--images", type=Path, metavar="DIR", help="images to measure it on")
    measured.add_argument("--annotations", type=Path, metavar="FILE", help="people, COCO format")
    measured.add_argument("--limit", type=positive, metavar="N", help="take the first N of them")
    measured.add_argument(
        "--most-loss",
        type=float,
        default=Settings.most_loss,
        metavar="X",
        help="of accuracy that INT8 may cost; blocks of layers stay in float until it is met "
        "(%(default)s)",
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


def wrong_usage(args: argparse.Namespace) -> str | None:
    """What is wrong with the options of `add_version_options`."""
    measured = args.images is not None and args.annotations is not None
    if args.precision == "int8" and not (measured and args.examples):
        return (
            "--precision int8 needs --examples to calibrate on, and --images and --annotations to "
            "measure what it costs"
        )
    if args.precision == "int8" and args.accelerator == "cuda":
        return (
            "ONNX Runtime runs INT8 graphs on the CPU and through TensorRT; on CUDA take "
            "--precision fp16"
        )
    if args.images is not None and not args.images.is_dir():
        return f"--images {args.images}: there is no such folder"
    if args.annotations is not None and not args.annotations.is_file():
        return f"--annotations {args.annotations}: there is no such file"
    return None


def settings_of(args: argparse.Namespace, **others: Any) -> Settings:
    """Of the options of `add_version_options`, and of the command's own."""
    return Settings(
        precision=args.precision,
        accelerator=args.accelerator,
        stored=args.weights,
        check_pinned_runtime=not args.skip_pinned_runtime,
        images=args.images,
        annotations=args.annotations,
        limit=args.limit,
        most_loss=args.most_loss,
        accuracy_data=args.accuracy_data,
        data_licence=args.data_licence,
        **others,
    )


def print_version(
    args: argparse.Namespace, fault: str | None, make: Callable[[list[Path]], Path]
) -> int:
    """Print the folder of the version that `make` writes. Returns the exit code.

    fault: what is wrong with the arguments, if anything is; nothing is made then. Raises
    WrongUsage, ExportError, OSError.
    """
    if fault:
        raise WrongUsage(fault)
    _require_accelerator(args.accelerator)
    try:
        images = _images(args.examples, args.model_repository)
    except FileNotFoundError as error:
        raise WrongUsage(f"--examples {args.examples}: {error}") from error
    try:
        version = make(images)
    except OSError as error:
        raise ExportError(_no_room(error, args.model_repository)) from error
    print(f"{version}: {_summary(Manifest.read(version))}")
    return 0


def tell_stage(stage: str) -> None:
    """On stderr, what begins."""
    print(f"{stage} ...", file=sys.stderr, flush=True)


def _require_accelerator(accelerator: str) -> None:
    from conversion.export.engine import require
    from conversion.export.runners import require_cuda

    if accelerator == "cuda":
        require_cuda()
    if accelerator == "tensorrt":
        require()


def _images(folder: Path | None, repository: Path) -> list[Path]:
    """Raises FileNotFoundError for a folder without any."""
    if folder is not None:
        return find_images(folder, leave_out=repository)
    from peopleseg.pixels.examples import example_images

    return example_images()


def _summary(manifest: Manifest) -> str:
    size = f"{manifest.bytes / 2**20:.1f} MiB, {manifest.precision} on {manifest.accelerator}"
    gate = manifest.accuracy_gate
    if not gate:
        return size
    return f"{size}, {gate['metric']} {gate['before']:.4f} before and {gate['after']:.4f} after"


def _no_room(error: OSError, repository: Path) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return str(error)
    free = shutil.disk_usage(repository).free / 2**20
    return (
        f"no room to write the version: {error}; {repository} has {free:.0f} MiB free; nothing was "
        "written, make room and export again"
    )
