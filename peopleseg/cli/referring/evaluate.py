"""`peopleseg evaluate` of prompts."""

import logging
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from peopleseg.cli.evaluation import Evaluation, failed_lines, lines_of
from peopleseg.client.blocking import SegmentationClient
from peopleseg.labels.files import write_json
from peopleseg.systems.referring.contract import REFERRING_PERSON_FROM_POINTS
from peopleseg.systems.referring.evaluation.metrics import METRICS_VERSION, ReferringMetrics
from peopleseg.systems.referring.evaluation.prompts import Prompted, load_prompts

_LOG = logging.getLogger(__name__)
OWN_OPTIONS = ()
ENSEMBLE = REFERRING_PERSON_FROM_POINTS.name
PRINTED = (
    *("right_person", "chance", "right_of_several", "chance_of_several", "told_apart"),
    *("oiou", "miou", "precision_at_70", "pckh", "pose_ap", "mask_ap", "prompts", "seconds"),
)
NUMBERS = "report.json"

read = load_prompts


def measure(client: SegmentationClient, image: Prompted) -> ReferringMetrics:
    """Of the prompts of one image."""
    data = image.image.read()
    if image.points is not None:
        return image.measured(client.find_at(data, image.points))
    return image.measured(client.find(data, image.texts))


def accuracy(evaluation: Evaluation[ReferringMetrics]) -> dict[str, Any]:
    """The metrics of evaluation/metrics.py, and how they were measured."""
    total = reduce(add, evaluation.measured, ReferringMetrics())
    return {
        **total.metrics(),
        "images": len(evaluation.measured),
        "seconds": evaluation.seconds,
        "failed": evaluation.failed,
        "metrics_version": METRICS_VERSION,
    }


def table(found: dict[str, Any]) -> str:
    """The metrics for a terminal, one a line."""
    return "\n".join([*lines_of(found, PRINTED), *failed_lines(found)])


def report(evaluation: Evaluation[ReferringMetrics], found: dict[str, Any], folder: Path) -> None:
    """NUMBERS: the metrics."""
    if not evaluation.measured:
        _LOG.warning("no report, because no image was measured")
        return
    write_json(folder / NUMBERS, {"accuracy": {k: v for k, v in found.items() if k != "failed"}})
    print(f"the report is {folder / NUMBERS}")
