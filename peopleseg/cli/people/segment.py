"""`peopleseg segment` of people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.cli.jobs import RESULTS, Job
from peopleseg.client.blocking import SegmentationClient
from peopleseg.labels.files import write_json, write_png
from peopleseg.pixels.images import decode_image
from peopleseg.systems.people.contract import PERSON_SEGMENTATION
from peopleseg.systems.people.drawing import draw_people
from peopleseg.systems.people.results import coco_file, coco_image, coco_results

OWN_OPTIONS = ("format", "min_score")
ENSEMBLE = PERSON_SEGMENTATION.name
ANNOTATIONS = "annotations.json"


class Finding(NamedTuple):
    """An image and everybody in it, as COCO has them."""

    image: dict[str, Any]
    people: list[dict[str, Any]]


def segment(
    client: SegmentationClient, job: Job, *, min_score: float | None = None, **_: Any
) -> tuple[Finding, str]:
    data = job.image.read_bytes()
    people = client.segment(data, min_score=min_score)
    # Decoded as the server does it, so that masks and image are turned alike.
    image_rgb = decode_image(data)
    write_png(job.overlay, draw_people(image_rgb, people))
    height, width = image_rgb.shape[:2]
    image = coco_image(job.image_id, str(job.image), (height, width))
    said = "1 person" if len(people) == 1 else f"{len(people)} people"
    return Finding(image, coco_results(people, job.image_id)), said


def write(findings: Sequence[Finding], out: Path, *, format: str = "results", **_: Any) -> None:
    """RESULTS, or with the format "coco" ANNOTATIONS."""
    if format == "coco":
        images = [finding.image for finding in findings]
        results = [person for finding in findings for person in finding.people]
        write_json(out / ANNOTATIONS, coco_file(images, results))
        return
    named = [
        {"file_name": finding.image["file_name"], **person}
        for finding in findings
        for person in finding.people
    ]
    write_json(out / RESULTS, named)
