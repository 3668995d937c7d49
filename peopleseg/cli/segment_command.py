"""Find the people of images, and draw them.

  peopleseg segment photo.jpg
  peopleseg segment photo.jpg holiday/ --url gpu-server:8001 --out people
  peopleseg segment holiday/ --format coco

Of a folder, every jpg, jpeg, png, webp and bmp is taken, at any depth; other images are named. A
file is taken whatever it is called. Written are an overlay OUT/<name>.png for each image and
OUT/results.json, a COCO results list of everybody found, or with --format coco
OUT/annotations.json, a whole COCO file, of images, categories and annotations. The image_id of a
file that is called by a number, as COCO's are, is that number; the others count on from the
highest.
An image that fails is named, and the others go on; the exit code is then 1.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from tqdm import tqdm

from peopleseg.cli.options import POSITIONAL, FolderToWrite, Help
from peopleseg.cli.output import is_one
from peopleseg.cli.server_options import READY_TIMEOUT_S, MinScore, UrlOption
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import SegmentationError
from peopleseg.errors import InvalidInput, WrongUsage
from peopleseg.labels.files import write_json, write_png
from peopleseg.pixels.image_files import (
    SUFFIXES,
    find_images,
    find_skipped,
    image_ids,
    result_paths,
    unique,
)
from peopleseg.pixels.images import decode_image
from peopleseg.systems.people.drawing import draw_people
from peopleseg.systems.people.results import coco_file, coco_image, coco_results

_LOG = logging.getLogger(__name__)
RESULTS, ANNOTATIONS = "results.json", "annotations.json"
_MOST_NAMES = 5  # of files that are skipped


class Job(NamedTuple):
    """One image to segment."""

    image: Path
    overlay: Path  # PNG to write
    image_id: int


@dataclass(frozen=True, kw_only=True)
class Options(UrlOption):
    paths: Annotated[list[Path], POSITIONAL, Help("images and folders")]
    out: Annotated[FolderToWrite, Help("written to")] = Path("out")
    format: Annotated[
        Literal["results", "coco"], Help("a list of COCO results, or a whole COCO file")
    ] = "results"
    min_score: Annotated[
        MinScore | None, Help("leave out people below it, 0.001 to 1 (the server's own)")
    ] = None


class Findings(NamedTuple):
    """The images that were segmented and everybody in them, as COCO has them."""

    images: list[dict[str, Any]]
    results: list[dict[str, Any]]

    def write(self, out: Path, form: str) -> None:
        if form == "coco":
            write_json(out / ANNOTATIONS, coco_file(self.images, self.results))
            return
        names = {image["id"]: image["file_name"] for image in self.images}
        named = [{"file_name": names[one["image_id"]], **one} for one in self.results]
        write_json(out / RESULTS, named)


def run(args: Options) -> int:
    """Segment all images. Returns 1 when any path or image failed."""
    _require_other_folder(args)
    jobs, failures = _jobs(args.paths, args.out)
    for path, reason in failures:
        _report_failure(path, reason)
    _name_skipped([file for path in args.paths for file in find_skipped(path, leave_out=args.out)])
    findings = Findings([], [])
    failed = len(failures)
    if jobs:
        with SegmentationClient(args.url) as client:
            client.wait_until_ready(READY_TIMEOUT_S)
            try:
                failed += _segment_all(client, jobs, findings, args.min_score)
            finally:  # also what was found before Ctrl-C
                findings.write(args.out, args.format)
    if failed:
        _LOG.error("%d failed", failed)
    return 1 if failed else 0


def _require_other_folder(args: Options) -> None:
    """Raises WrongUsage where overlays would lie among the images, and be taken the next time."""
    for path in args.paths:
        folder = path if path.is_dir() else path.parent
        if folder.exists() and is_one(folder, args.out):
            raise WrongUsage(f"--out {args.out} is the folder of {path}; name another folder")


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
    client: SegmentationClient,
    jobs: list[Job],
    findings: Findings,
    min_score: float | None,
) -> int:
    """Adds to `findings` as it goes. Returns how many images failed."""
    failed = 0
    # disable=None: no bar where nobody watches, in a log or a pipe
    for job in tqdm(jobs, unit="image", disable=None if len(jobs) > 1 else True):
        try:
            image, found = _segment(client, job, min_score)
        except (SegmentationError, InvalidInput, OSError) as error:
            failed += 1
            _report_failure(job.image, str(error))
            continue
        findings.images.append(image)
        findings.results.extend(found)
        people = "1 person" if len(found) == 1 else f"{len(found)} people"
        tqdm.write(f"{job.image}: {people} -> {job.overlay}")
    return failed


def _segment(
    client: SegmentationClient, job: Job, min_score: float | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    data = job.image.read_bytes()
    people = client.segment(data, min_score=min_score)
    # Decoded as the server does it, so that masks and image are turned alike.
    image_rgb = decode_image(data)
    write_png(job.overlay, draw_people(image_rgb, people))
    height, width = image_rgb.shape[:2]
    image = coco_image(job.image_id, str(job.image), (height, width))
    return image, coco_results(people, job.image_id)


def _report_failure(path: Path, reason: str) -> None:
    _LOG.error("%s: %s", path, reason)
