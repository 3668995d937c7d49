"""Measure checkpoints on annotated pictures and compare them.

  peopleseg validate runs/unet/best.ckpt --images val --annotations person_val.json
  peopleseg validate 'runs/*/best.ckpt' --images val --annotations person_val.json \\
      --json figures.json --pictures sheets

Printed is a table for each family of networks, the best of each figure marked with *:
people_seg_miou of people UNets; box_ap, box_ap50 and box_recall of detectors; instance_miou,
roi_miou, two_class_miou and boundary_iou of mask heads on true boxes and, when a detector is in the
checkpoint or given, mask_ap and mask_ap50 on the boxes that it finds. A checkpoint that cannot be
measured is named, the others go on; the exit code is then 1.
"""

import argparse
import glob
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from peopleseg.cli.options import positive
from peopleseg.cli.output import file_to_write, folder_to_write
from peopleseg.labels.coco import Picture, require_people
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.files import write_json, write_png
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_detector, load_network
from peopleseg.pixels.image_files import result_paths, unique
from training.data.pictures import Skipped, report_skipped, usable_pictures
from training.validation.evaluation import evaluate
from training.validation.pictures import choose_pictures, validation_sheet
from training.validation.table import Row, table

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg validate`."""
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="a file, or a pattern in quotes"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the pictures")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="take the first N pictures")
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="CHECKPOINT",
        help="finds the boxes of mask heads without a detector of their own; or a version folder",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the figures here as well"
    )
    parser.add_argument(
        "--pictures",
        type=folder_to_write,
        metavar="DIR",
        help="write a PNG of true and found people for each",
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="(%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and report. Returns 1 when a checkpoint failed, 2 when a pattern matches nothing."""
    if args.device == "cuda" and not torch.cuda.is_available():
        print("peopleseg: this machine has no GPU for torch; use --device cpu", file=sys.stderr)
        return EXIT_USAGE
    checkpoints: list[Path] = []
    for pattern in args.checkpoints:
        found = matching(pattern)
        if not found:
            print(f"peopleseg: no file matches {pattern}; name a checkpoint", file=sys.stderr)
            return EXIT_USAGE
        checkpoints += found
    try:
        detector = load_detector(args.detector)
        pictures, skipped = usable_pictures(args.annotations, args.images)
        report_skipped(skipped)
        pictures = pictures[: args.limit]
        require_people(pictures, args.annotations)
    except CheckpointError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_FAILED
    except AnnotationError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_FAILED
    rows, failed = _measure_all(unique(checkpoints), pictures, detector, args)
    if rows:
        print(table(rows))
    if args.json:
        write_json(args.json, _report(args.annotations, pictures, skipped, rows, failed))
    return EXIT_FAILED if failed else EXIT_OK


def matching(pattern: str) -> list[Path]:
    """The files of a pattern, sorted; a path without * ? [ stands for itself, there or not."""
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [Path(pattern)]
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]


def _measure_all(
    checkpoints: Sequence[Path],
    pictures: Sequence[Picture],
    detector: nn.Module | None,
    args: argparse.Namespace,
) -> tuple[list[Row], list[dict[str, str]]]:
    """The measured checkpoints, and the name and reason of the others."""
    rows: list[Row] = []
    failed: list[dict[str, str]] = []
    sheets = result_paths(checkpoints, args.pictures or Path())
    for checkpoint, sheet in zip(checkpoints, sheets, strict=True):
        try:
            loaded = _with_detector(load_network(checkpoint), detector)
            print(f"{checkpoint} ({loaded.family})", file=sys.stderr)
            figures = evaluate(loaded, pictures, device=args.device)
        except (CheckpointError, OSError, ValueError) as error:
            failed.append({"checkpoint": str(checkpoint), "reason": str(error)})
            print(f"peopleseg: {checkpoint}: {error}", file=sys.stderr)
            continue
        rows.append(Row(str(checkpoint), loaded.family, loaded.epoch, figures))
        if args.pictures:
            write_png(sheet, validation_sheet(loaded, choose_pictures(pictures)))
    return rows, failed


def _with_detector(loaded: Loaded, detector: nn.Module | None) -> Loaded:
    """A mask head with the detector given, unless it has its own."""
    if detector is None or not loaded.family.endswith("_head"):
        return loaded
    return replace(loaded, companions={"detector": detector} | loaded.companions)


def _report(
    annotations: Path,
    pictures: Sequence[Picture],
    skipped: Sequence[Skipped],
    rows: Sequence[Row],
    failed: Sequence[dict[str, str]],
) -> dict[str, Any]:
    return {
        "annotations": annotations.name,
        "images": len(pictures),
        "people": sum(len(picture.people) for picture in pictures),
        "skipped": [{"file": str(one.path), "reason": one.reason} for one in skipped],
        "checkpoints": [asdict(row) | {"figures": _known(row.figures)} for row in rows],
        "failed": list(failed),
    }


def _known(figures: Any) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
