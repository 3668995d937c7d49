"""Find the people of pictures, and draw them.

  peopleseg segment photo.jpg
  peopleseg segment photo.jpg holiday/ --url gpu-server:8001 --out people

Of a folder, every jpg, jpeg, png, webp and bmp is taken, at any depth. Written are an overlay
OUT/<name>.png for each picture and OUT/results.json, a COCO results list of everybody found. The
image_id of a file that is called by a number, as COCO's are, is that number; the others count on
from the highest.
A picture that fails is named, and the others go on; the exit code is then 1.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from peopleseg.cli.min_score import min_score_of
from peopleseg.cli.output_option import folder_to_write
from peopleseg.cli.url_option import READY_TIMEOUT_S, add_url_option
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import SegmentationError
from peopleseg.errors import InvalidInput
from peopleseg.labels.files import write_json, write_png
from peopleseg.pixels.image_files import find_pictures, image_ids, result_paths, unique
from peopleseg.pixels.images import decode_image
from peopleseg.systems.people.drawing import draw_people
from peopleseg.systems.people.results import coco_results

RESULTS = "results.json"


class Job(NamedTuple):
    """One picture to segment."""

    picture: Path
    overlay: Path  # PNG to write
    image_id: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg segment`."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a picture or a folder")
    add_url_option(parser)
    parser.add_argument(
        "--out", type=folder_to_write, default="out", metavar="DIR", help="written to (%(default)s)"
    )
    parser.add_argument(
        "--min-score",
        type=min_score_of,
        metavar="SCORE",
        help="leave out people below it, 0.001 to 1 (the server's own)",
    )


def run(args: argparse.Namespace) -> int:
    """Segment all pictures. Returns 1 when any path or picture failed."""
    jobs, failures = _jobs(args.paths, args.out)
    for path, reason in failures:
        _report_failure(path, reason)
    results: list[dict[str, Any]] = []
    failed = len(failures)
    if jobs:
        with SegmentationClient(args.url) as client:
            client.wait_until_ready(READY_TIMEOUT_S)
            try:
                failed += _segment_all(client, jobs, results, args.min_score)
            finally:  # also what was found before Ctrl-C
                write_json(args.out / RESULTS, results)
    if failed:
        print(f"peopleseg: {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _jobs(paths: Iterable[Path], out: Path) -> tuple[list[Job], list[tuple[Path, str]]]:
    pictures: list[Path] = []
    failures: list[tuple[Path, str]] = []
    for path in paths:
        try:
            pictures += find_pictures(path, leave_out=out)
        except OSError as error:
            failures.append((path, str(error)))
    pictures = unique(pictures)
    overlays = result_paths(pictures, out)
    jobs = zip(pictures, overlays, image_ids(pictures), strict=True)
    return [Job(*job) for job in jobs], failures


def _segment_all(
    client: SegmentationClient,
    jobs: list[Job],
    results: list[dict[str, Any]],
    min_score: float | None,
) -> int:
    """Adds to `results` as it goes. Returns how many pictures failed."""
    failed = 0
    # disable=None: no bar where nobody watches, in a log or a pipe
    for job in tqdm(jobs, unit="picture", disable=None if len(jobs) > 1 else True):
        try:
            found = _segment(client, job, min_score)
        except (SegmentationError, InvalidInput, OSError) as error:
            failed += 1
            _report_failure(job.picture, str(error))
            continue
        results += found
        people = "1 person" if len(found) == 1 else f"{len(found)} people"
        tqdm.write(f"{job.picture}: {people} -> {job.overlay}")
    return failed


def _segment(client: SegmentationClient, job: Job, min_score: float | None) -> list[dict[str, Any]]:
    data = job.picture.read_bytes()
    people = client.segment(data, min_score=min_score)
    # Decoded as the server does it, so that masks and picture are turned alike.
    write_png(job.overlay, draw_people(decode_image(data), people))
    found = coco_results(people, job.image_id)
    return [{"file_name": str(job.picture), **person} for person in found]


def _report_failure(path: Path, reason: str) -> None:
    tqdm.write(f"peopleseg: {path}: {reason}", file=sys.stderr)
