"""The metric of each of people's networks, as `peopleseg evaluate` defines it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from conversion.export.accuracy import Accuracy, read_annotated, with_progress
from conversion.export.exportable import Exportable
from conversion.export.inputs import Inputs
from conversion.export.runners import Runner
from conversion.export.settings import Settings
from conversion.people.inputs import RoiInputs
from peopleseg.labels.coco import AnnotatedImage, load_people
from peopleseg.pixels.images import prepare_file
from peopleseg.systems.people.evaluation.boxes import box_metrics, found_boxes
from peopleseg.systems.people.evaluation.metrics import foreground_iou, roi_ious
from peopleseg.systems.people.person import Person, persons
from peopleseg.systems.people.response import foreground_of, people_of
from peopleseg.systems.people.selection import boxes_to_rois
from peopleseg.systems.step import Arrays


def detector_accuracy(
    exportable: Exportable, images: Sequence[AnnotatedImage], inputs: Inputs
) -> Accuracy:
    """Of the boxes."""
    return Accuracy("box_ap50", lambda run: detector_metrics(run, images)["box_ap50"])


def unet_accuracy(
    exportable: Exportable, images: Sequence[AnnotatedImage], inputs: Inputs
) -> Accuracy:
    """Of all people's pixels together."""
    return Accuracy("foreground_miou", lambda run: _foreground_miou(run, images))


def head_accuracy(
    exportable: Exportable, images: Sequence[AnnotatedImage], inputs: Inputs
) -> Accuracy:
    """Of the masks in the annotated boxes."""
    assert isinstance(inputs, RoiInputs)
    heads = [_HeadOnImage(inputs, image.path) for image in images]
    return Accuracy("roi_miou", lambda run: _roi_miou(run, images, heads))


def annotated_images(settings: Settings) -> list[AnnotatedImage]:
    """Those to measure on. Raises ExportError when the annotations cannot be read."""
    return read_annotated(settings, load_people)


def detector_metrics(run: Runner, images: Sequence[AnnotatedImage]) -> dict[str, float]:
    """All metrics of a detector's boxes."""
    found = {}
    for image in with_progress(images):
        pixels, letterbox = prepare_file(image.path)
        found[image.id] = found_boxes(run({"pixels": pixels})["predictions"][0], letterbox)
    metrics = box_metrics(found, {image.id: image for image in images})
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _foreground_miou(run: Runner, images: Sequence[AnnotatedImage]) -> float:
    ious = []
    for image in with_progress(images):
        pixels, letterbox = prepare_file(image.path)
        logit = run({"pixels": pixels})["person_logit"]
        ious.append(foreground_iou(foreground_of(logit[0, 0], letterbox), image))
    return float(np.mean(ious))


def _roi_miou(
    run: Runner, images: Sequence[AnnotatedImage], heads: Sequence["_HeadOnImage"]
) -> float:
    ious: list[float] = []
    for image, head in zip(with_progress(images), heads, strict=True):
        head.run = run
        segmenter: Any = head  # it is asked for masks of boxes alone
        ious += roi_ious(segmenter, image.read(), image)
    return float(np.mean(ious))


class _HeadOnImage:
    """A mask head alone as a segmenter of given boxes; its inputs are computed once."""

    run: Runner

    def __init__(self, inputs: RoiInputs, path: Path) -> None:
        self._inputs, self._path = inputs, path
        self._made: dict[bytes, Arrays] = {}  # by the boxes

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike) -> list[Person]:
        boxes = np.asarray(boxes_xyxy, dtype=np.float32)
        if not len(boxes):
            return []
        pixels, letterbox = prepare_file(self._path)
        rois = boxes_to_rois(boxes, letterbox)
        key = boxes.tobytes()
        if key not in self._made:
            self._made[key] = self._inputs.of_rois(pixels, rois.rois)
        logits = self.run(self._made[key])["mask_logits"]
        people = people_of(logits, rois.rois, rois.scores, letterbox)
        return persons(people._replace(boxes=boxes))
