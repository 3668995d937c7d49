"""Find the people of images, or the class of every pixel, and draw them.

  peopleseg segment photo.jpg
  peopleseg segment photo.jpg holiday/ --url gpu-server:8001 --out people
  peopleseg segment holiday/ --format coco
  peopleseg segment photo.jpg --system semantic

Of a folder, every jpg, jpeg, png, webp and bmp is taken, at any depth; other images are named. A
file is taken whatever it is called. Written are an overlay OUT/<name>.png for each image and
OUT/results.json, a COCO results list of everybody found, or with --format coco
OUT/annotations.json, a whole COCO file, of images, categories and annotations. The image_id of a
file that is called by a number, as COCO's are, is that number; the others count on from the
highest.
With --system semantic the overlay has a legend of the classes that are there, OUT/results.json has
the share of each class, and OUT/classes/<name>.png is a label map: a palette PNG whose pixels are
numbers of classes.
An image that fails is named, and the others go on; the exit code is then 1.
"""

# A system's part, see peopleseg.cli.system_parts, has
#   ENSEMBLE                    the name of what is asked
#   segment(client, job, ...)   asks for one image and draws it; a finding, and what was found
#   write(findings, out, ...)   writes what is not drawn

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tqdm import tqdm

from peopleseg.cli.jobs import Job
from peopleseg.cli.options import POSITIONAL, FolderToWrite, Help, one_of
from peopleseg.cli.output import require_other_folder
from peopleseg.cli.server_options import READY_TIMEOUT_S, MinScore, UrlOption
from peopleseg.cli.system_parts import DEFAULT, own_options, part_of, systems_with
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import SegmentationError
from peopleseg.errors import InvalidInput
from peopleseg.pixels.image_files import (
    SUFFIXES,
    find_images,
    find_skipped,
    image_ids,
    result_paths,
    unique,
)

_LOG = logging.getLogger(__name__)
_MOST_NAMES = 5  # of files that are skipped


@dataclass(frozen=True, kw_only=True)
class Options(UrlOption):
    paths: Annotated[list[Path], POSITIONAL, Help("images and folders")]
    out: Annotated[FolderToWrite, Help("written to")] = Path("out")
    system: Annotated[
        str, one_of(systems_with("segment")), Help("people, or the classes of semantic")
    ] = DEFAULT
    format: Annotated[
        Literal["results", "coco"] | None,
        Help("of people: a list of COCO results, or a whole COCO file (results)"),
    ] = None
    min_score: Annotated[
        MinScore | None, Help("leave out people below it, 0.001 to 1 (the server's own)")
    ] = None


def run(args: Options) -> int:
    """Segment all images. Returns 1 when any path or image failed."""
    for path in args.paths:
        require_other_folder(path, args.out)
    part = part_of("segment", args.system)
    own = own_options(args, part, ("format", "min_score"))
    jobs, failures = _jobs(args.paths, args.out)
    for path, reason in failures:
        _report_failure(path, reason)
    _name_skipped([file for path in args.paths for file in find_skipped(path, leave_out=args.out)])
    findings: list[Any] = []
    failed = len(failures)
    if jobs:
        with SegmentationClient(args.url) as client:
            client.wait_until_ready(READY_TIMEOUT_S, part.ENSEMBLE)
            try:
                failed += _segment_all(partial(part.segment, client, **own), jobs, findings)
            finally:  # also what was found before Ctrl-C
                part.write(findings, args.out, **own)
    if failed:
        _LOG.error("%d failed", failed)
    return 1 if failed else 0


def _name_skipped(files: Sequence[Path]) -> None:
    if files:
        more = f" and {len(files) - _MOST_NAMES} more" if len(files) > _MOST_NAMES else ""
        named = ", ".join(map(str, files[:_MOST_NAMES]))
        _LOG.warning("not taken: %s%s; of a folder, %s are", named, more, ", ".join(SUFFIXES))


def _jobs(paths: Iterable[Path], out: Path) -> tuple[list[Job], list[tuple[Path, str]]]:
    images: list[Path] = []
    failures: list[tuple[Path, str]] = []
    for path in paths:
        try:
            images += find_images(path, leave_out=out)
        except OSError as error:
            failures.append((path, str(error)))
    images = unique(images)
    overlays = result_paths(images, out)
    jobs = zip(images, overlays, image_ids(images), strict=True)
    return [Job(*job) for job in jobs], failures


def _segment_all(
    segment: Callable[[Job], tuple[Any, str]], jobs: list[Job], findings: list[Any]
) -> int:
    """Adds to `findings` as it goes. Returns how many images failed."""
    failed = 0
    # disable=None: no bar where nobody watches, in a log or a pipe
    for job in tqdm(jobs, unit="image", disable=None if len(jobs) > 1 else True):
        try:
            finding, said = segment(job)
        except (SegmentationError, InvalidInput, OSError) as error:
            failed += 1
            _report_failure(job.image, str(error))
            continue
        findings.append(finding)
        tqdm.write(f"{job.image}: {said} -> {job.overlay}")
    return failed


def _report_failure(path: Path, reason: str) -> None:
    _LOG.error("%s: %s", path, reason)
