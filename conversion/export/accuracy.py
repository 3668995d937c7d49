"""The metric that decides whether a quantised network may be served, and how it is measured."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from conversion.export.exportable import Exportable
from conversion.export.inputs import RoiReader, with_unread
from conversion.export.runners import Runner
from conversion.export.settings import ExportError, Settings
from peopleseg.labels.coco import AnnotatedImage, load_images, require_people
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.pixels.images import prepare_file
from peopleseg.systems.people.evaluation.boxes import box_metrics, found_boxes
from peopleseg.systems.people.evaluation.metrics import foreground_iou, roi_ious
from peopleseg.systems.people.person import Person, persons
from peopleseg.systems.people.response import foreground_of, people_of
from peopleseg.systems.people.selection import boxes_to_rois
from peopleseg.systems.step import Arrays

METRICS = {
    "yolov9": "box_ap50",
    "people_unet": "foreground_miou",
    "hierarchical_head": "roi_miou",
    "feature_head": "roi_miou",
}


class Accuracy(NamedTuple):
    """One metric of one network: what it is called, and what measures it, in [0, 1]."""

    metric: str
    measure: Callable[[Runner], float]


def accuracy_of(
    exportable: Exportable, images: Sequence[AnnotatedImage], reader: RoiReader | None
) -> Accuracy:
    """The metric of a network on annotated images, as `peopleseg evaluate` defines it.

    reader: for a mask head. What is the same for every artifact is computed at the first call.
    """
    metric = METRICS[exportable.model.name]
    if metric == "box_ap50":
        return Accuracy(metric, lambda run: detector_metrics(run, images)[metric])
    if metric == "foreground_miou":
        return Accuracy(metric, lambda run: _foreground_miou(run, images))
    assert reader is not None
    heads = [_HeadOnImage(exportable, reader, image.path) for image in images]
    return Accuracy(metric, lambda run: _roi_miou(run, images, heads))


def annotated_images(settings: Settings) -> list[AnnotatedImage]:
    """Those to measure on. Raises ExportError when the annotations cannot be read."""
    assert settings.images is not None and settings.annotations is not None
    try:
        images = load_images(settings.annotations, settings.images)[: settings.limit]
        require_people(images, settings.annotations)
    except AnnotationError as error:
        raise ExportError(f"{error}; nothing was written") from error
    return images


def detector_metrics(run: Runner, images: Sequence[AnnotatedImage]) -> dict[str, float]:
    """All metrics of a detector's boxes."""
    found = {}
    for image in _progress(images):
        pixels, letterbox = prepare_file(image.path)
        found[image.id] = found_boxes(run({"pixels": pixels})["predictions"][0], letterbox)
    metrics = box_metrics(found, {image.id: image for image in images})
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _foreground_miou(run: Runner, images: Sequence[AnnotatedImage]) -> float:
    ious = []
    for image in _progress(images):
        pixels, letterbox = prepare_file(image.path)
        logit = run({"pixels": pixels})["person_logit"]
        ious.append(foreground_iou(foreground_of(logit[0, 0], letterbox), image))
    return float(np.mean(ious))


def _roi_miou(
    run: Runner, images: Sequence[AnnotatedImage], heads: Sequence["_HeadOnImage"]
) -> float:
    ious: list[float] = []
    for image, head in zip(_progress(images), heads, strict=True):
        head.run = run
        segmenter: Any = head  # it is asked for masks of boxes alone
        ious += roi_ious(segmenter, image.read(), image)
    return float(np.mean(ious))


class _HeadOnImage:
    """A mask head alone as a segmenter of given boxes; its inputs are computed once."""

    run: Runner

    def __init__(self, exportable: Exportable, reader: RoiReader, path: Path) -> None:
        self._exportable, self._reader, self._path = exportable, reader, path
        self._inputs: dict[bytes, Arrays] = {}  # by the boxes

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike) -> list[Person]:
        boxes = np.asarray(boxes_xyxy, dtype=np.float32)
        if not len(boxes):
            return []
        pixels, letterbox = prepare_file(self._path)
        rois = boxes_to_rois(boxes, letterbox)
        key = boxes.tobytes()
        if key not in self._inputs:
            inputs = self._reader.read(pixels, rois.rois)
            self._inputs[key] = with_unread(inputs, self._exportable)
        logits = self.run(self._inputs[key])["mask_logits"]
        people = people_of(logits, rois.rois, rois.scores, letterbox)
        return persons(people._replace(boxes=boxes))


def _progress(images: Sequence[AnnotatedImage]) -> "tqdm[AnnotatedImage]":
    # disable=None: no bar where nobody watches, in a log or a pipe
    return tqdm(images, desc="accuracy", unit="image", leave=False, disable=None)
