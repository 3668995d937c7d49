"""Measure a running server's accuracy on annotated images.

  peopleseg evaluate --images val --annotations person_val.json
  peopleseg evaluate --images val --annotations person_val.json --json accuracy.json --limit 20
  peopleseg evaluate --images val --annotations person_val.json --report report

Every image goes through the server, which is asked for uncertain people too, as AP needs them.
Printed, and written with --json, are mask_ap, mask_ap50, box_ap and box_ap50 (COCO's), roi_miou
(masks on the true boxes) and foreground_miou (people against background). An image that fails is
named and left out; the exit code is then 1.

--report says what is behind them, as numbers, tables and plots: AP by size and by number of people,
precision and recall over the score, which share of a score is right, what is missed or found
instead, and the worst images on one sheet.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from tqdm import tqdm

from peopleseg.cli.options import (
    AnnotatedImagesOptions,
    Count,
    FileToWrite,
    Help,
    LimitOption,
    checked,
)
from peopleseg.cli.output import folder_fault
from peopleseg.cli.server_options import READY_TIMEOUT_S, MinScore, UrlOption
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import SegmentationError
from peopleseg.errors import WrongUsage
from peopleseg.labels.coco import AnnotatedImage, load_images, require_people
from peopleseg.labels.files import write_json
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE
from peopleseg.systems.people.evaluation.metrics import (
    METRICS_VERSION,
    Measured,
    Segmenter,
    measure,
    metrics_of,
)
from peopleseg.systems.people.evaluation.writing import PAGE, drawing_fault, write_report

_LOG = logging.getLogger(__name__)
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
DEFAULT_CONCURRENCY = 2  # images under way; one is prepared while another is computed


def _report_fault(folder: Path) -> str | None:
    return drawing_fault() or folder_fault(folder)


ReportFolder = Annotated[Path, checked(_report_fault)]


@dataclass(frozen=True, kw_only=True)
class Options(LimitOption, UrlOption, AnnotatedImagesOptions):
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None
    report: Annotated[
        ReportFolder | None, Help("write what is behind the metrics here (needs matplotlib)")
    ] = None
    concurrency: Annotated[Count, Help("images under way at a time")] = DEFAULT_CONCURRENCY
    min_score: Annotated[
        MinScore, Help("of the people that enter mask_ap and box_ap, 0.001 to 1")
    ] = AP_MIN_SCORE


def run(args: Options) -> int:
    """Measure and report. Returns 1 when any image failed. Raises AnnotationError."""
    if not args.images.is_dir():
        raise WrongUsage(f"--images {args.images}: there is no such folder")
    images = load_images(args.annotations, args.images)[: args.limit]
    require_people(images, args.annotations)
    with SegmentationClient(args.url) as client:
        client.wait_until_ready(READY_TIMEOUT_S)
        evaluation = measure_all(
            client, images, concurrency=args.concurrency, min_score=args.min_score
        )
    found = {**accuracy(evaluation), "annotations": args.annotations.name}
    print(table(found))
    if args.json:
        write_json(args.json, found)
    if args.report:
        _report(evaluation, found, args.report)
    return 1 if evaluation.failed else 0


class Evaluation(NamedTuple):
    """What the images were measured as, in their order, and which failed."""

    measured: list[Measured]
    failed: list[dict[str, str]]  # file and reason
    seconds: float
    min_score: float


def measure_all(
    segmenter: Segmenter,
    images: Sequence[AnnotatedImage],
    *,
    concurrency: int,
    min_score: float = AP_MIN_SCORE,
) -> Evaluation:
    """Ask for every image. One that fails is named  in the log."""
    start = time.perf_counter()
    measured: dict[int, Measured] = {}
    failed: dict[int, dict[str, str]] = {}
    for number, outcome in _measure_all(segmenter, images, concurrency, min_score):
        if isinstance(outcome, Measured):
            measured[number] = outcome
        else:
            path = str(images[number].path)
            failed[number] = {"file": path, "reason": str(outcome)}
            _LOG.error("%s: %s", path, outcome)
    return Evaluation(
        [measured[number] for number in sorted(measured)],
        [failed[number] for number in sorted(failed)],
        round(time.perf_counter() - start, 3),
        min_score,
    )


def accuracy(evaluation: Evaluation) -> dict[str, Any]:
    """The metrics of evaluation.py, and how they were measured.

    Where all people have a box alone, that of the foreground, of images without people, is None.
    """
    found = metrics_of(evaluation.measured)
    if found["people"] and found["people"] == found["people_without_mask"]:
        found["foreground_miou"] = None
    return {
        **found,
        "seconds": evaluation.seconds,
        "failed": evaluation.failed,
        "min_score": evaluation.min_score,
        "metrics_version": METRICS_VERSION,
        "pycocotools": version("pycocotools"),
    }


def table(report: dict[str, Any]) -> str:
    """The metrics for a terminal, one a line."""
    lines = [f"{name:16} {_shown(report[name])}" for name in PRINTED]
    if unmasked := report["people_without_mask"]:
        lines.append(f"{'without mask':16} {unmasked} people, left out of the metrics of masks")
    failed = len(report["failed"])
    if failed:
        total = failed + report["images"]
        lines.append(f"{'failed':16} {failed} of {total} images, left out of the metrics above")
    return "\n".join(lines)


def _report(evaluation: Evaluation, found: dict[str, Any], folder: Path) -> None:
    """Without file names, which `failed` has."""
    if not any(one.image.people for one in evaluation.measured):
        _LOG.warning("no report, because no image with people was measured")
        return
    shown = {name: value for name, value in found.items() if name != "failed"}
    write_report(evaluation.measured, shown, folder)
    print(f"the report is {folder / PAGE}")


def _measure_all(
    segmenter: Segmenter, images: Sequence[AnnotatedImage], concurrency: int, min_score: float
) -> Iterator[tuple[int, Measured | Exception]]:
    """Each image's number with its measures or its failure, in the order they are ready."""
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        numbers: dict[Future[Measured], int] = {
            pool.submit(measure, segmenter, image, min_score=min_score): number
            for number, image in enumerate(images)
        }
        try:
            # disable=None: no bar where nobody watches, in a log or a pipe
            for future in tqdm(
                as_completed(numbers), total=len(numbers), unit="image", disable=None
            ):
                try:
                    yield numbers[future], future.result()
                except (SegmentationError, OSError, ValueError) as error:
                    yield numbers[future], error
        finally:  # on Ctrl-C, do not finish the others first
            pool.shutdown(cancel_futures=True)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
