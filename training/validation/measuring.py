"""Checkpoints measured on annotated images, and compared."""

import glob
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from peopleseg.cli.output import require_separate
from peopleseg.errors import WrongUsage
from peopleseg.labels.coco import AnnotatedImage, require_people
from peopleseg.labels.files import write_json, write_png
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_detector, load_network
from peopleseg.pixels.image_files import result_paths, unique
from training.data.images import Skipped, report_skipped, usable_images
from training.device import device_of
from training.validation.command import Options
from training.validation.evaluation import evaluate
from training.validation.images import choose_images, validation_sheet
from training.validation.table import Row, table


def run(args: Options) -> int:
    """Measure and report. Returns 1 when a checkpoint failed. Raises PeoplesegError."""
    device = device_of(args)
    checkpoints: list[Path] = []
    for pattern in args.checkpoints:
        found = matching(pattern)
        if not found:
            raise WrongUsage(f"no file matches {pattern}; name a checkpoint")
        checkpoints += found
    if args.json:
        require_separate([("CHECKPOINTS", one) for one in checkpoints], [("--json", args.json)])
    detector = load_detector(args.detector)
    images, skipped = usable_images(args.annotations, args.images)
    report_skipped(skipped)
    images = images[: args.limit]
    require_people(images, args.annotations)
    rows, failed = _measure_all(unique(checkpoints), images, detector, args.sheets, device)
    if rows:
        print(table(rows))
    if args.json:
        write_json(args.json, _report(args.annotations, images, skipped, rows, failed))
    return 1 if failed else 0


def matching(pattern: str) -> list[Path]:
    """The files of a pattern, sorted; a path without * ? [ stands for itself, there or not."""
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [Path(pattern)]
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]


def _measure_all(
    checkpoints: Sequence[Path],
    images: Sequence[AnnotatedImage],
    detector: nn.Module | None,
    folder: Path | None,
    device: str,
) -> tuple[list[Row], list[dict[str, str]]]:
    """The measured checkpoints, and the name and reason of the others."""
    rows: list[Row] = []
    failed: list[dict[str, str]] = []
    sheets = result_paths(checkpoints, folder or Path())
    for checkpoint, sheet in zip(checkpoints, sheets, strict=True):
        try:
            loaded = _with_detector(load_network(checkpoint), detector)
            print(f"{checkpoint} ({loaded.family})", file=sys.stderr)
            metrics = evaluate(loaded, images, device=device)
        except (CheckpointError, OSError, ValueError) as error:
            failed.append({"checkpoint": str(checkpoint), "reason": str(error)})
            print(f"peopleseg: {checkpoint}: {error}", file=sys.stderr)
            continue
        rows.append(Row(str(checkpoint), loaded.family, loaded.epoch, metrics))
        if folder:
            write_png(sheet, validation_sheet(loaded, choose_images(images)))
    return rows, failed


def _with_detector(loaded: Loaded, detector: nn.Module | None) -> Loaded:
    """A mask head with the detector given, unless it has its own."""
    if detector is None or not loaded.family.endswith("_head"):
        return loaded
    return replace(loaded, companions={"detector": detector} | loaded.companions)


def _report(
    annotations: Path,
    images: Sequence[AnnotatedImage],
    skipped: Sequence[Skipped],
    rows: Sequence[Row],
    failed: Sequence[dict[str, str]],
) -> dict[str, Any]:
    return {
        "annotations": annotations.name,
        "images": len(images),
        "people": sum(len(image.people) for image in images),
        "skipped": [{"file": str(one.path), "reason": one.reason} for one in skipped],
        "checkpoints": [asdict(row) | {"metrics": _known(row.metrics)} for row in rows],
        "failed": list(failed),
    }


def _known(metrics: Any) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
