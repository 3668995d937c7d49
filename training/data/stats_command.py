"""Measure a data set: people, overlaps, sizes, pixels of each class, class weights.

  peopleseg data-stats --annotations person_train.json --images train --json stats.json
  peopleseg data-stats --annotations person_train.json --json stats.json

With --images, images that are missing or broken are named and left out. Training reads its class
weights from the JSON: class_weights.plain and class_weights.separation_aware, each of background,
target and other people.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.options import FileToWrite, Fraction, Help
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.labels.files import write_json
from training.data.images import report_skipped, usable_images
from training.data.statistics import ROI_PADDING, statistics, table


@dataclass(frozen=True, kw_only=True)
class Options:
    annotations: Annotated[Path, Help("people in COCO format")]
    images: Annotated[Path | None, Help("check the images as well")] = None
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None
    roi_padding: Annotated[Fraction, Help("around boxes, at each edge, in parts of the side")] = (
        ROI_PADDING
    )


def run(args: Options) -> int:
    """Measure and report. Raises AnnotationError, SameFile, DataError."""
    metrics = statistics(_annotated(args.annotations, args.images), args.roi_padding)
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
