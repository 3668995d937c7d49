"""The figure that decides whether a quantised network may be served, and how it is measured."""

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
from peopleseg.labels.coco import Picture, load_pictures, require_people
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.pixels.images import prepare_file
from peopleseg.systems.people.answer import foreground_of, people_of
from peopleseg.systems.people.evaluation.boxes import box_metrics, found_boxes
from peopleseg.systems.people.evaluation.metrics import foreground_iou, roi_ious
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.selection import boxes_to_rois
from peopleseg.systems.step import Arrays

FIGURES = {
    "yolov9": "box_ap50",
    "people_unet": "foreground_miou",
    "hierarchical_head": "roi_miou",
    "feature_head": "roi_miou",
}


class Accuracy(NamedTuple):
    """One figure of one network: what it is called, and what measures it, in [0, 1]."""

    figure: str
    measure: Callable[[Runner], float]


def accuracy_of(
    exportable: Exportable, pictures: Sequence[Picture], reader: RoiReader | None
) -> Accuracy:
    """The figure of a network on annotated images, as `peopleseg evaluate` defines it.

    reader: for a mask head. What is the same for every artifact is computed at the first call.
    """
    figure = FIGURES[exportable.model.name]
    if figure == "box_ap50":
        return Accuracy(figure, lambda run: box_figures(run, pictures)[figure])
    if figure == "foreground_miou":
        return Accuracy(figure, lambda run: _foreground_miou(run, pictures))
    assert reader is not None
    heads = [_HeadOnPicture(exportable, reader, picture.path) for picture in pictures]
    return Accuracy(figure, lambda run: _roi_miou(run, pictures, heads))


def annotated_pictures(settings: Settings) -> list[Picture]:
    """Those to measure on. Raises ExportError when the annotations cannot be read."""
    assert settings.images is not None and settings.annotations is not None
    try:
        pictures = load_pictures(settings.annotations, settings.images)[: settings.limit]
        require_people(pictures, settings.annotations)
    except AnnotationError as error:
        raise ExportError(f"{error}; nothing was written") from error
    return pictures


def box_figures(run: Runner, pictures: Sequence[Picture]) -> dict[str, float]:
    """All figures of a detector's boxes."""
    found = {}
    for picture in _progress(pictures):
        pixels, letterbox = prepare_file(picture.path)
        found[picture.id] = found_boxes(run({"pixels": pixels})["predictions"][0], letterbox)
    metrics = box_metrics(found, {picture.id: picture for picture in pictures})
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _foreground_miou(run: Runner, pictures: Sequence[Picture]) -> float:
    ious = []
    for picture in _progress(pictures):
        pixels, letterbox = prepare_file(picture.path)
        logit = run({"pixels": pixels})["person_logit"]
        ious.append(foreground_iou(foreground_of(logit[0, 0], letterbox), picture))
    return float(np.mean(ious))


def _roi_miou(run: Runner, pictures: Sequence[Picture], heads: Sequence["_HeadOnPicture"]) -> float:
    ious: list[float] = []
    for picture, head in zip(_progress(pictures), heads, strict=True):
        head.run = run
        segmenter: Any = head  # it is asked for masks of boxes alone
        ious += roi_ious(segmenter, picture.read(), picture)
    return float(np.mean(ious))


class _HeadOnPicture:
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
        return [
            Person(tuple(box), float(score), mask, rle)
            for box, score, mask, rle in zip(
                boxes.tolist(), people.scores, people.masks, people.rles, strict=True
            )
        ]


def _progress(pictures: Sequence[Picture]) -> "tqdm[Picture]":
    # disable=None: no bar where nobody watches, in a log or a pipe
    return tqdm(pictures, desc="accuracy", unit="image", leave=False, disable=None)
