"""`peopleseg evaluate` of the classes of pixels."""

import logging
from functools import reduce
from pathlib import Path
from typing import Any

from peopleseg.cli.evaluation import NAME_WIDTH, Evaluation, failed_lines, lines_of, shown
from peopleseg.client.blocking import SegmentationClient
from peopleseg.labels.files import write_json, write_png
from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.systems.semantic.contract import SEMANTIC_SEGMENTATION
from peopleseg.systems.semantic.evaluation.metrics import (
    ENOUGH_IMAGES,
    METRICS_VERSION,
    Confusion,
)

_LOG = logging.getLogger(__name__)
OWN_OPTIONS = ()
ENSEMBLE = SEMANTIC_SEGMENTATION.name
PRINTED = ("miou_present", "miou", "pixel_accuracy", "boundary_iou", "images", "seconds")
NUMBERS, PICTURE = "report.json", "confusion.png"

read = load_labelled


def measure(client: SegmentationClient, image: LabelledImage) -> Confusion:
    """Of one image. Raises AnnotationError for classes that the server does not tell apart."""
    found = client.classify(image.read())
    return Confusion.of(image.label_map(len(found.names)), found.classes, found.names)


def accuracy(evaluation: Evaluation[Confusion]) -> dict[str, Any]:
    """The metrics of evaluation/metrics.py, and how they were measured.

    The IoU of a class that is in fewer than ENOUGH_IMAGES is None; `images_of` says in how many
    each class is.
    """
    total = _total(evaluation)
    return {
        **total.metrics(),
        **total.trusted_ious(),
        "images_of": dict(zip(total.names, total.seen_in.tolist(), strict=True)),
        "seconds": evaluation.seconds,
        "failed": evaluation.failed,
        "metrics_version": METRICS_VERSION,
    }


def table(found: dict[str, Any]) -> str:
    """The metrics for a terminal, one a line, and below them the classes."""
    lines = [
        *lines_of(found, PRINTED),
        *failed_lines(found),
        "",
        f"{'class':{NAME_WIDTH}} IoU     images",
    ]
    ious = {name: found[f"iou {name}"] for name in found["images_of"]}
    weakest = min((iou for iou in ious.values() if iou is not None), default=None)
    for name, iou in ious.items():
        images = found["images_of"][name]
        if iou is None:
            lines.append(f"{name:{NAME_WIDTH}} -       {images:6}  too few images to tell")
        else:
            mark = "  the weakest" if iou == weakest else ""
            lines.append(f"{name:{NAME_WIDTH}} {shown(iou):7} {images:6}{mark}")
    lines.append(f"An IoU is shown of classes that are in {ENOUGH_IMAGES} images or more.")
    return "\n".join(lines)


def report(evaluation: Evaluation[Confusion], found: dict[str, Any], folder: Path) -> None:
    """NUMBERS: the metrics and the pixels by true and found class; PICTURE draws these."""
    from peopleseg.systems.semantic.evaluation.confusion_picture import confusion_picture

    if not evaluation.measured:
        _LOG.warning("no report, because no image was measured")
        return
    total = _total(evaluation)
    told = {name: value for name, value in found.items() if name != "failed"}
    write_json(folder / NUMBERS, {"accuracy": told, "pixels": total.pixels.tolist()})
    write_png(folder / PICTURE, confusion_picture(total.pixels, total.names))
    print(f"the report is {folder / PICTURE}")


def _total(evaluation: Evaluation[Confusion]) -> Confusion:
    """Of nothing where every image failed."""
    return reduce(Confusion.__add__, evaluation.measured or [Confusion(())])
