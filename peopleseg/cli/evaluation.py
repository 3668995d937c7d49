"""Measure many images, several at a time; one that fails costs itself alone."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from tqdm import tqdm

from peopleseg.client.errors import SegmentationError

_LOG = logging.getLogger(__name__)
NAME_WIDTH = 17  # of the longest metric's
DEFAULT_CONCURRENCY = 2  # images under way; one is prepared while another is computed


class Image(Protocol):
    @property
    def path(self) -> Path: ...


AnyImage = TypeVar("AnyImage", bound=Image)
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Evaluation(Generic[Measured]):
    """What the images were measured as, in their order, and which failed."""

    measured: list[Measured]
    failed: list[dict[str, str]]  # file and reason
    seconds: float


def measure_all(
    measure: Callable[[AnyImage], Measured], images: Sequence[AnyImage], *, concurrency: int
) -> Evaluation[Measured]:
    """Measure every image. One that fails is named in the log."""
    start = time.perf_counter()
    measured: dict[int, Measured] = {}
    failed: dict[int, dict[str, str]] = {}
    for number, future in _futures(measure, images, concurrency):
        try:
            measured[number] = future.result()
        except (SegmentationError, OSError, ValueError) as error:
            path = str(images[number].path)
            failed[number] = {"file": path, "reason": str(error)}
            _LOG.error("%s: %s", path, error)
    return Evaluation(
        [measured[number] for number in sorted(measured)],
        [failed[number] for number in sorted(failed)],
        round(time.perf_counter() - start, 3),
    )


def lines_of(report: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Metrics for a terminal, one a line."""
    return [f"{name:{NAME_WIDTH}} {shown(report[name])}" for name in names]


def failed_lines(report: dict[str, Any]) -> list[str]:
    """How many images failed, if any did."""
    if not (failed := len(report["failed"])):
        return []
    total = failed + report["images"]
    return [f"{'failed':{NAME_WIDTH}} {failed} of {total} images, left out of the metrics above"]


def shown(value: float | int | None) -> str:
    """A metric; - where there is nothing to measure."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _futures(
    measure: Callable[[AnyImage], Measured], images: Sequence[AnyImage], concurrency: int
) -> Iterator[tuple[int, "Future[Measured]"]]:
    """Each image's number with what is done, in the order they are ready."""
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        numbers = {pool.submit(measure, image): number for number, image in enumerate(images)}
        try:
            # disable=None: no bar where nobody watches, in a log or a pipe
            for future in tqdm(
                as_completed(numbers), total=len(numbers), unit="image", disable=None
            ):
                yield numbers[future], future
        finally:  # on Ctrl-C, do not finish the others first
            pool.shutdown(cancel_futures=True)
