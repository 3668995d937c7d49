"""Measure a server's responses against COCO annotations of people.

mask_ap, mask_ap50, box_ap, box_ap50
    COCO's average precision of `segment`, over IoU 0.50:0.95 and at 0.50, at most 100 people a
    image, as pycocotools computes it (crowds are ignored by its rules; of masks, who has a box
    alone is such a crowd, as large as the box).
roi_miou
    Of `segment_from_boxes` on the true boxes, crowds, sides under 16 px and who has no mask left
    out: the mean over the boxes of the IoU of the person's mask and the true one, on the mask's
    grid over the box.
foreground_miou
    Of `foreground`: per image the mean of the IoU of people and the IoU of background, at its own
    size, a class absent from response and truth counting 1; the mean over the images. Left out are
    crowds' regions, of the boxes of those without a mask what no mask covers, and images of
    people of whom nobody has a mask.

Images that failed are left out of every metric; a metric without anything to measure is None.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from peopleseg.labels.coco import AnnotatedImage, Annotation, box_pixels
from peopleseg.pixels.geometry import clip_boxes
from peopleseg.pixels.masks import THRESHOLD, grid_mask
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.evaluation.average_precision import average_precision
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.results import coco_results

METRICS_VERSION = 1  # of the definitions above
SMALLEST_SIDE_PX = 16  # of a box that counts in roi_miou


class Segmenter(Protocol):
    """What is measured: a SegmentationClient, or anything that answers like one."""

    def segment(self, image: bytes, /, *, min_score: float | None) -> list[Person]:
        """Everybody in the image of at least that score; None: the segmenter's own."""

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike, /) -> list[Person]:
        """One person a box, at most MAX_PEOPLE."""

    def foreground(self, image: bytes, /) -> NDArray[np.uint8]:
        """(H, W) probability x 255."""


@dataclass(frozen=True)
class Measured:
    """What one image adds to the metrics."""

    image: AnnotatedImage
    found: list[dict[str, Any]]  # COCO results
    roi_ious: list[float]  # one for each true box that counts
    foreground_iou: float | None  # None where nobody of the people has a mask


def measure(
    segmenter: Segmenter, image: AnnotatedImage, *, min_score: float | None = None
) -> Measured:
    """Ask for one image, three ways. Raises OSError, ValueError and what the segmenter raises.

    min_score: of the people that enter the AP; None for those that the segmenter answers with.
    """
    data = image.read()
    foreground = segmenter.foreground(data)
    if foreground.shape != (image.height, image.width):
        raise ValueError(
            f"the image is {foreground.shape[1]} x {foreground.shape[0]} pixels, "
            f"its annotations say {image.width} x {image.height}"
        )
    known = image.masked_people or not image.people
    return Measured(
        image=image,
        found=coco_results(segmenter.segment(data, min_score=min_score), image.id),
        roi_ious=roi_ious(segmenter, data, image),
        foreground_iou=foreground_iou(foreground, image) if known else None,
    )


def metrics_of(measured: Sequence[Measured]) -> dict[str, float | int | None]:
    """All metrics of this page's head, and how many images, people and rois they rest on."""
    ious = [iou for one in measured for iou in one.roi_ious]
    foreground_ious = [one.foreground_iou for one in measured if one.foreground_iou is not None]
    return {
        **average_precisions(measured),
        "roi_miou": _mean(ious),
        "foreground_miou": _mean(foreground_ious),
        "images": len(measured),
        "people": sum(len(one.image.people) for one in measured),
        "people_without_mask": sum(_without_mask(one.image) for one in measured),
        "rois": len(ious),
    }


def roi_ious(segmenter: Segmenter, data: bytes, image: AnnotatedImage) -> list[float]:
    """IoU on the grid of each true box that counts, in the order of the annotations."""
    masks = masks_in_true_boxes(segmenter, data, image)
    return [mask_iou(found > THRESHOLD, true) for found, true in masks]


def masks_in_true_boxes(
    segmenter: Segmenter, data: bytes, image: AnnotatedImage
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """On the grid of each true box that counts, probability x 255 and the true mask."""
    people = [person for person in image.masked_people if _counts(person)]
    boxes = clip_boxes(
        np.array([person.box_xyxy for person in people], dtype=np.float32).reshape(-1, 4),
        image.width,
        image.height,
    )
    masks = []
    for first in range(0, len(people), MAX_PEOPLE):
        part = slice(first, first + MAX_PEOPLE)
        responses = segmenter.segment_from_boxes(data, boxes[part])
        for response, person, box in zip(responses, people[part], boxes[part], strict=True):
            height, width = response.mask.shape
            true = grid_mask(person.mask(image.height, image.width), box, (height, width))
            masks.append((response.mask, true))
    return masks


def foreground_iou(foreground: NDArray[np.uint8], image: AnnotatedImage) -> float:
    """Mean of the IoU of people and the IoU of background, outside of crowds and where known."""
    people = _union(image, image.masked_people)
    counted = _counted(image, people)
    true = people[counted]
    found = (foreground > THRESHOLD)[counted]
    return (mask_iou(found, true) + mask_iou(~found, ~true)) / 2


def average_precisions(measured: Sequence[Measured]) -> dict[str, float | None]:
    """COCO's AP and AP50 of masks and boxes."""
    images = [one.image for one in measured]
    found = [entry for one in measured for entry in one.found]
    masks = average_precision(images, found, "segm")
    boxes = average_precision(images, found, "bbox")
    return {
        "mask_ap": masks.ap,
        "mask_ap50": masks.ap50,
        "box_ap": boxes.ap,
        "box_ap50": boxes.ap50,
    }


def _counted(image: AnnotatedImage, people: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(height, width): where it is known who is a person; people: where a mask says so."""
    counted = np.ones_like(people)
    for annotation in image.annotations:
        if not annotation.masked:
            box = box_pixels(annotation.box_xyxy, (image.height, image.width))
            counted[box] &= people[box]
    return counted & ~_union(image, [a for a in image.annotations if a.crowd and a.masked])


def _without_mask(image: AnnotatedImage) -> int:
    return len(image.people) - len(image.masked_people)


def _counts(person: Annotation) -> bool:
    x1, y1, x2, y2 = person.box_xyxy
    return min(x2 - x1, y2 - y1) >= SMALLEST_SIDE_PX


def _union(image: AnnotatedImage, people: Iterable[Annotation]) -> NDArray[np.bool_]:
    union = np.zeros((image.height, image.width), dtype=np.bool_)
    for person in people:
        union |= person.mask(image.height, image.width) > 0
    return union


def mask_iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
