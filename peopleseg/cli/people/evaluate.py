"""`peopleseg evaluate` of people."""

import logging
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peopleseg.cli.evaluation import (
    NAME_WIDTH,
    Evaluation,
    failed_lines,
    lines_of,
    measure_all,
)
from peopleseg.labels.coco import AnnotatedImage, load_people
from peopleseg.systems.people.contract import PERSON_SEGMENTATION
from peopleseg.systems.people.evaluation import metrics
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE
from peopleseg.systems.people.evaluation.metrics import (
    METRICS_VERSION,
    Measured,
    Segmenter,
    metrics_of,
)
from peopleseg.systems.people.evaluation.writing import PAGE, write_report

_LOG = logging.getLogger(__name__)
OWN_OPTIONS = ("min_score",)
ENSEMBLE = PERSON_SEGMENTATION.name
PRINTED = (
    "mask_ap",
    "mask_ap50",
    "box_ap",
    "box_ap50",
    "roi_miou",
    "foreground_miou",
    "images",
    "people",
    "rois",
    "seconds",
)

read = load_people


def measure(
    segmenter: Segmenter, image: AnnotatedImage, *, min_score: float = AP_MIN_SCORE
) -> Measured:
    """Of one image, asked also for the uncertain people, as AP needs them."""
    return metrics.measure(segmenter, image, min_score=min_score)


def accuracy(
    evaluation: Evaluation[Measured], *, min_score: float = AP_MIN_SCORE
) -> dict[str, Any]:
    """The metrics of evaluation/metrics.py, and how they were measured.

    Where all people have a box alone, that of the foreground, of images without people, is None.
    """
    found = metrics_of(evaluation.measured)
    if found["people"] and found["people"] == found["people_without_mask"]:
        found["foreground_miou"] = None
    return {
        **found,
        "seconds": evaluation.seconds,
        "failed": evaluation.failed,
        "min_score": min_score,
        "metrics_version": METRICS_VERSION,
        "pycocotools": version("pycocotools"),
    }


def evaluate(
    segmenter: Segmenter,
    images: Sequence[AnnotatedImage],
    *,
    concurrency: int,
    min_score: float = AP_MIN_SCORE,
) -> tuple[Evaluation[Measured], dict[str, Any]]:
    """Ask any segmenter for every image; what was measured, and the metrics."""
    evaluation = measure_all(
        partial(measure, segmenter, min_score=min_score), images, concurrency=concurrency
    )
    return evaluation, accuracy(evaluation, min_score=min_score)


def table(found: dict[str, Any]) -> str:
    """The metrics for a terminal, one a line."""
    lines = lines_of(found, PRINTED)
    if unmasked := found["people_without_mask"]:
        lines.append(
            f"{'without mask':{NAME_WIDTH}} {unmasked} people, left out of the metrics of masks"
        )
    return "\n".join([*lines, *failed_lines(found)])


def report(evaluation: Evaluation[Measured], found: dict[str, Any], folder: Path) -> None:
    """Without file names, which `failed` has."""
    if not any(one.image.people for one in evaluation.measured):
        _LOG.warning("no report, because no image with people was measured")
        return
    told = {name: value for name, value in found.items() if name != "failed"}
    write_report(evaluation.measured, told, folder)
    print(f"the report is {folder / PAGE}")
