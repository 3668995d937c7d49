"""Measure a data set: people, overlaps, sizes, pixels of each class, class weights.

  peopleseg data-stats --annotations person_train.json --images train --json stats.json
  peopleseg data-stats --annotations person_train.json --json stats.json

With --images, images that are missing or broken are named and left out. Training reads its class
weights from the JSON: class_weights.plain and class_weights.separation_aware, each of background,
target and other people.
"""

import argparse
import sys
from pathlib import Path

from peopleseg.cli.options import fraction
from peopleseg.cli.output import file_to_write, require_separate
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.labels.files import write_json
from training.data.images import report_skipped, usable_images
from training.data.statistics import ROI_PADDING, statistics, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg data-stats`."""
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO file")
    parser.add_argument("--images", type=Path, metavar="DIR", help="check the images as well")
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help="write the metrics here")
    parser.add_argument(
        "--roi-padding",
        type=fraction,
        default=ROI_PADDING,
        metavar="PART",
        help="around boxes, at each edge, in parts of the side (%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and report. Returns 1 when the annotations cannot be used."""
    require_separate({"--annotations": args.annotations, "--json": args.json})
    try:
        metrics = statistics(_annotated(args.annotations, args.images), args.roi_padding)
    except ValueError as error:  # no JSON, not COCO's, or nobody in it
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    print(table(metrics))
    if args.json:
        write_json(args.json, metrics)
    return 0


def _annotated(annotations: Path, images: Path | None) -> list[AnnotatedImage]:
    if images is None:
        return load_images(annotations, Path())
    usable, skipped = usable_images(annotations, images)
    report_skipped(skipped)
    return usable
