"""Latency against the number of rois, from none to the most that a request may have.

  peopleseg bench rois --images val --annotations person_val.json

The ensemble person_segmentation_from_boxes is asked for made-up boxes of a person's size in one
image, by one caller, and by turns the same networks are called directly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.devices import open_pipeline
from benchmarks.speed.images import annotated_images
from benchmarks.speed.options import (
    RoundOptions,
    RunOptions,
    ServerOption,
    confined_to,
    running_server,
)
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import (
    Group,
    PeopleRequest,
    Server,
    Target,
    check_responses,
    interleave,
    one_caller,
)
from peopleseg.cli.options import AnnotatedImagesOptions, Help, whole
from peopleseg.labels.coco import AnnotatedImage
from peopleseg.systems.people.contract import MAX_PEOPLE

_SEED = 0
_HEIGHTS = (0.2, 0.8)  # of a box, as a part of the image's
_WIDTHS = (0.3, 0.6)  # of a box, as a part of its height


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions, ServerOption, AnnotatedImagesOptions):
    rois: Annotated[
        tuple[int, ...],
        whole(0, MAX_PEOPLE),
        Help(f"in one request, at most {MAX_PEOPLE}"),
    ] = (0, 1, 2, 5, 10, 20, 40, MAX_PEOPLE)


def run(args: Options) -> int:
    image = annotated_images(args)[0]
    groups = roi_groups(image, args.rois)
    with (
        confined_to(args.threads),
        running_server(args.model_repository, args.url, device=args.device) as running,
    ):
        check_responses(running.url, groups)
        pipeline = open_pipeline(args.model_repository, threads=args.threads, device=args.device)
        targets: list[Target] = [one_caller(pipeline), Server(running.url, callers=1)]
        slices = interleave(targets, groups, rounds=args.rounds, seconds=args.seconds)
    return finish(args, "rois", slices, {"image": image.path.name}, triton=running.triton)


def roi_groups(image: AnnotatedImage, counts: Sequence[int]) -> list[Group]:
    """One request each: a larger one has the boxes of the smaller ones too."""
    data = image.read()
    boxes = made_up_boxes(image.width, image.height, MAX_PEOPLE)
    return [
        Group(str(count), [PeopleRequest(data, count, boxes[:count])])
        for count in sorted(set(counts))
    ]


def made_up_boxes(width: int, height: int, count: int) -> NDArray[np.float32]:
    """(count, 4) xyxy within the image, upright, the same ones every time."""
    random = np.random.default_rng(_SEED)
    heights = random.uniform(*_HEIGHTS, count) * height
    widths = np.minimum(random.uniform(*_WIDTHS, count) * heights, width)
    left = random.uniform(0, 1, count) * (width - widths)
    top = random.uniform(0, 1, count) * (height - heights)
    return np.stack((left, top, left + widths, top + heights), axis=1).astype(np.float32)
