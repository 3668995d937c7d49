"""What the commands that make a version of a network share: options, errors, exit codes."""

import errno
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from conversion.export.settings import Accelerator, ExportError, Precision, Settings, Stored
from peopleseg.cli.options import Count, Fraction, Help, WrittenRepositoryOption
from peopleseg.errors import WrongUsage
from peopleseg.pixels.image_files import find_images
from peopleseg.repository.manifest import Manifest

_LOG = logging.getLogger(__name__)
_MEASURED = Parameter(group="To measure accuracy, as --precision int8 has to")


@dataclass(frozen=True, kw_only=True)
class VersionOptions(WrittenRepositoryOption):
    """Precision, what it is made for and checked with, where it goes, what its manifest says."""

    precision: Precision = "fp32"
    accelerator: Annotated[
        Accelerator, Help("what it is made for; TensorRT gives an engine, the others ONNX")
    ] = "cpu"
    examples: Annotated[
        Path | None,
        Help("images to compare on, and to calibrate INT8 with (some example images)"),
    ] = None
    images: Annotated[Path | None, Help("folder of the images"), _MEASURED] = None
    annotations: Annotated[
        Path | None,
        Help(
            "people in COCO format; for semantic networks a folder of label maps, or a list of VOC"
        ),
        _MEASURED,
    ] = None
    limit: Annotated[Count | None, Help("take the first so many images"), _MEASURED] = None
    most_loss: Annotated[
        Fraction,
        Help("of accuracy that INT8 may cost; blocks of layers stay in float until it is met"),
        _MEASURED,
    ] = Settings.most_loss
    weights: Annotated[
        Stored, Help("how an FP32 graph stores its weights: fp16 is half as large")
    ] = "fp16"
    skip_pinned_runtime: Annotated[
        bool,
        Help("do not run it under the server image's ONNX Runtime; the manifest says so"),
    ] = False
    accuracy_data: Annotated[str, Help("what it was validated on")] = ""
    data_licence: Annotated[str, Help("of the training data")] = ""


def wrong_usage(args: VersionOptions) -> str | None:
    """What is wrong with these options."""
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
    if args.annotations is not None and not args.annotations.exists():
        return f"--annotations {args.annotations}: there is no such file or folder"
    return None


def settings_of(args: VersionOptions, **others: Any) -> Settings:
    """Of these options, and of the command's own."""
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
    args: VersionOptions, fault: str | None, make: Callable[[list[Path]], Path]
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
    """What begins."""
    _LOG.info("%s ...", stage)


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
