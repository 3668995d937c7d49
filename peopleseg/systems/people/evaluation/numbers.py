"""All numbers of the report: one JSON, from which its plots and tables are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.systems.people.evaluation.average_precision import (
    Kind,
    average_precision,
    average_precision_by_size,
)
from peopleseg.systems.people.evaluation.matches import RIGHT_IOU, Matched, matched
from peopleseg.systems.people.evaluation.metrics import Measured
from peopleseg.systems.people.evaluation.mistakes import (
    false_positives,
    missed_by_size,
    mistakes,
    worst,
)
from peopleseg.systems.people.evaluation.scores import (
    Judged,
    Point,
    as_rows,
    best,
    curve,
    reliability,
)

KINDS: dict[str, Kind] = {"masks": "segm", "boxes": "bbox"}
GROUPS: dict[str, Callable[[int], bool]] = {  # of images, by their number of people
    "1": lambda people: people == 1,
    "2-4": lambda people: 2 <= people <= 4,
    "5+": lambda people: people >= 5,
}
WORST = 20  # images
HIGHEST = 20  # scores in images of nobody

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """The numbers, and the worst images with those found from the score of the best F1 on."""

    numbers: Numbers
    worst: list[Matched]


def report_of(measured: Sequence[Measured], metrics: Numbers) -> Report:
    """What is behind the metrics. There must be somebody in the images.

    Masks are judged, or boxes where nobody's mask is known. The image of a number is named by its
    id in the annotations alone, so that the numbers can be shown where the images cannot.
    """
    images = [one.image for one in measured]
    found = [entry for one in measured for entry in one.found]
    kinds = _kinds(images)
    judged = {name: Judged.of(matched(images, found, kind)) for name, kind in kinds.items()}
    points = {name: curve(one) for name, one in judged.items()}
    by = next(iter(kinds))
    limit = best(points[by])
    certain = [entry for entry in found if entry["score"] >= limit.score]
    compared = matched(images, certain, kinds[by])
    shown = worst(compared, WORST)
    numbers = {
        "accuracy": metrics,
        "iou": RIGHT_IOU,
        "judged_by": by,
        "by_size": {name: _by_size(images, found, kind) for name, kind in kinds.items()},
        "by_people": {name: _by_people(images, found, kind) for name, kind in kinds.items()},
        "images_by_people": {name: len(_group(images, name)) for name in GROUPS},
        "best_f1": {name: as_rows([best(one)])[0] for name, one in points.items()},
        "curves": {name: as_rows(one) for name, one in points.items()},
        "reliability": reliability(judged[by]),
        "reliability_from_best_f1": reliability(judged[by].at_least(limit.score)),
        "false_positives": false_positives(compared, kinds[by]),
        "missed": missed_by_size(compared),
        "worst": [_mistakes(one) for one in shown],
        "nobody": _nobody(measured, limit),
    }
    return Report(numbers, shown)


def _kinds(images: Sequence[AnnotatedImage]) -> dict[str, Kind]:
    """What can be judged; masks only where anybody's is known."""
    if any(image.masked_people for image in images):
        return KINDS
    return {"boxes": KINDS["boxes"]}


def _group(images: Sequence[AnnotatedImage], name: str) -> list[AnnotatedImage]:
    return [image for image in images if GROUPS[name](len(image.people))]


def _by_size(images: Sequence[AnnotatedImage], found: Sequence[Numbers], kind: Kind) -> Numbers:
    sizes = average_precision_by_size(images, found, kind)
    return {size: precision._asdict() for size, precision in sizes.items()}


def _by_people(images: Sequence[AnnotatedImage], found: Sequence[Numbers], kind: Kind) -> Numbers:
    groups = {name: _group(images, name) for name in GROUPS}
    return {
        name: average_precision(group, _found_in(group, found), kind)._asdict()
        for name, group in groups.items()
    }


def _found_in(images: Sequence[AnnotatedImage], found: Sequence[Numbers]) -> list[Numbers]:
    ids = {image.id for image in images}
    return [entry for entry in found if entry["image_id"] in ids]


def _mistakes(image: Matched) -> Numbers:
    return {
        "image_id": image.image.id,
        "mistakes": mistakes(image),
        "false_positives": len(image.wrong),
        "missed": int(image.missed.sum()),
        "people": len(image.people),
    }


def _nobody(measured: Sequence[Measured], limit: Point) -> Numbers:
    """How certain the responses are of people where there are none, and no crowds either."""
    empty = [one for one in measured if not one.image.annotations]
    highest = [max((entry["score"] for entry in one.found), default=0.0) for one in empty]
    return {
        "images": len(empty),
        "with_somebody": sum(score >= limit.score for score in highest),
        "highest_scores": sorted(highest, reverse=True)[:HIGHEST],
    }
