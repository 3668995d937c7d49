"""Real images, sorted by how many people the served networks find in them.

What an image costs is decided by the rois that the detector finds and not by the people that are
there: so the groups go by the former, and each image's record has both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.speed.errors import BenchError
from benchmarks.speed.targets import Group, PeopleRequest
from peopleseg.cli.options import AnnotatedImagesOptions, Count, Help, one_of
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.pipeline import PeoplePipeline

PEOPLE = (0, 1, 2, 5, 10)  # of the groups; the last has this many or more
IMAGES_LOOKED_AT = 500  # of the annotations; the search for a group ends there


class Chosen(NamedTuple):
    groups: list[Group]
    records: list[dict[str, Any]]  # of each image: file, group, people found and annotated, size


@dataclass(frozen=True, kw_only=True)
class ImageOptions(AnnotatedImagesOptions):
    people: Annotated[
        tuple[int, ...],
        one_of(PEOPLE, some=True),
        Help(f"groups of images, by the people found; {PEOPLE[-1]} means as many or more"),
    ] = PEOPLE
    per_group: Annotated[Count, Help("images of each group")] = 4


def choose_images(args: ImageOptions, pipeline: PeoplePipeline) -> Chosen:
    """As the options say. Raises BenchError when no image fits."""
    images = annotated_images(args)
    return choose(pipeline, images, people=args.people, each=args.per_group)


def annotated_images(args: AnnotatedImagesOptions) -> list[AnnotatedImage]:
    """The first IMAGES_LOOKED_AT of the annotations. Raises BenchError, OSError."""
    try:
        return load_images(args.annotations, args.images)[:IMAGES_LOOKED_AT]
    except AnnotationError as error:
        raise BenchError(str(error)) from error


def choose(
    pipeline: PeoplePipeline, images: Sequence[AnnotatedImage], *, people: Sequence[int], each: int
) -> Chosen:
    """The first `each` images for each number of people; of the last group, those with fewest.

    A group that no image fits is left out. Raises BenchError when none is left.
    """
    found: dict[int, list[tuple[int, AnnotatedImage]]] = {number: [] for number in sorted(people)}
    for image in tqdm(images, desc="counting people", unit="image", disable=None):
        count = people_found(pipeline, image.read())
        number = min(count, PEOPLE[-1])
        if number in found:
            found[number].append((count, image))
    groups, records = [], []
    for number, fitting in found.items():
        fitting = sorted(fitting, key=lambda one: one[0])[:each]
        if fitting:
            name = f"{number}+" if number == PEOPLE[-1] else str(number)
            requests = [PeopleRequest(image.read(), count) for count, image in fitting]
            groups.append(Group(name, requests))
            records += [_record(name, count, image) for count, image in fitting]
    if not groups:
        wanted = ", ".join(map(str, found))
        raise BenchError(f"none of {len(images)} images has {wanted} people in its response")
    return Chosen(groups, records)


def people_found(pipeline: PeoplePipeline, image: bytes) -> int:
    """In the response: not every roi becomes a person of it."""
    return len(pipeline.segment(image).boxes)


def detected(
    pipeline: PeoplePipeline, image: bytes
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The pixels, predictions and letterbox of one encoded image, as tensors."""
    prepared = pipeline.call_step("preprocess", {"image": bytes_tensor(image)})
    predictions = pipeline.call_step("yolov9", {"pixels": prepared["pixels"]})["predictions"]
    return prepared["pixels"], predictions, prepared["letterbox"]


def _record(group: str, count: int, image: AnnotatedImage) -> dict[str, Any]:
    return {
        "file": image.path.name,
        "group": group,
        "found": count,
        "annotated": len(image.people),
        "width": image.width,
        "height": image.height,
    }
