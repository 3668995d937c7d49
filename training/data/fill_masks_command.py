"""Give people who are annotated by a box alone a mask, where the served mask head is sure.

  peopleseg fill-masks --images coco_val --annotations coco_val.json --out coco_val_filled.json

Each such person is looked at three times by the networks of the model repository: as they are, in
the mirrored image, and by a wider box. The mask is kept where the three agree and where it holds
the person's visible keypoints, if there are any, and few of the others'. Kept masks are marked
`"mask": "filled"`; all else of the file stays as it is, so that what is not sure is still ignored
by a training. Images that are missing or broken are named, and their people stay as they are.
Stopped, the command starts from the beginning.
"""

import json
import logging
from dataclasses import dataclass
from typing import Annotated, Any

from tqdm import tqdm

from peopleseg.cli.options import (
    AnnotatedImagesOptions,
    Count,
    FileToWrite,
    Fraction,
    Help,
    LimitOption,
    RepositoryOption,
)
from peopleseg.labels.coco import AnnotatedImage, load_labels
from peopleseg.labels.files import write_atomically
from peopleseg.systems.people.pipeline import PeoplePipeline
from training.data.images import BrokenImage, DataError, checked, read_rgb, report_skipped
from training.data.mask_filling import Agreement, filled

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption, LimitOption, AnnotatedImagesOptions):
    out: Annotated[FileToWrite, Help("the COCO file to write")]
    least_iou: Annotated[Fraction, Help("of the three masks, from which they agree")] = (
        Agreement.least_iou
    )
    threads: Annotated[Count, Help("of each network")] = 2


def run(args: Options) -> int:
    """Write the file and say how many masks it gained.

    Raises AnnotationError, SameFile, and DataError when no image can be used.
    """
    labels = load_labels(args.annotations, args.images)
    images, skipped = checked(labels.images[: args.limit])
    report_skipped(skipped)
    if not images:
        raise DataError(
            f"{args.images} has none of the images of {args.annotations} that can be used; name "
            "the folder that they are in"
        )
    pipeline = PeoplePipeline(args.model_repository, threads=args.threads)
    agreement = Agreement(least_iou=args.least_iou)
    count = sum(
        _fill(pipeline, image, labels.entries[image.id], agreement)
        for image in tqdm(images, unit="image", disable=None)
    )
    data = _first(labels.data, args.limit)
    write_atomically(args.out, json.dumps(data).encode())
    boxes = sum(not e.get("segmentation") and not e.get("iscrowd") for e in data["annotations"])
    print(f"{args.out}: {count} people got a mask, {boxes} still have a box alone")
    return 0


def _fill(
    pipeline: PeoplePipeline, image: AnnotatedImage, own: list[dict[str, Any]], agreement: Agreement
) -> int:
    """Give an image's annotations their masks, in place; how many. One that breaks is named."""
    try:
        masks = filled(pipeline, read_rgb(image), own, agreement)
    except BrokenImage as error:
        _LOG.warning("left out: %s", error)
        return 0
    for place, rle in masks.items():
        own[place].update(segmentation=rle, mask="filled")
    return len(masks)


def _first(data: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """The first so many images with what is annotated in them; None: everything."""
    if limit is None:
        return data
    images = data["images"][:limit]
    taken = {image["id"] for image in images}
    kept = [entry for entry in data["annotations"] if entry.get("image_id") in taken]
    return {**data, "images": images, "annotations": kept}
