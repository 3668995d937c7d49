"""Guess the label map of an image: from boxes of a published detector, and from masks of people.

The object in a box is told from what is around it by GrabCut (Rother et al. 2004), as in Khoreva et
al. 2017 (arXiv:1603.07485), where such labels taught a segmenter almost as well as drawn ones. What
is not sure has no known class.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import box_pixels
from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.systems.semantic.contract import BACKGROUND, VOC_CLASSES

# COCO's 80 classes that are Pascal VOC's, by the numbers of detectors of COCO.
COCO_OF_VOC = {
    "aeroplane": 4,
    "bicycle": 1,
    "bird": 14,
    "boat": 8,
    "bottle": 39,
    "bus": 5,
    "car": 2,
    "cat": 15,
    "chair": 56,
    "cow": 19,
    "diningtable": 60,
    "dog": 16,
    "horse": 17,
    "motorbike": 3,
    "person": 0,
    "pottedplant": 58,
    "sheep": 18,
    "sofa": 57,
    "train": 6,
    "tvmonitor": 62,
}
PERSON = VOC_CLASSES.index("person")

SURE = 0.45  # the score from which an object is there
PERHAPS = 0.2  # and from which it may be
LEAST_FILLED, MOST_FILLED = 0.2, 0.95  # part of a box that an object fills
WORKING_PX = 160  # longest side of what GrabCut works on
MARGIN = 0.15  # of a box's sides, around it, that shows GrabCut what is not the object
ROUNDS = 3  # of GrabCut
SMALLEST_PX = 8  # side of a box in which an object can be told


class Object(NamedTuple):
    """What a detector found."""

    number: int  # of the class, VOC's
    score: float
    box_xyxy: Sequence[float]  # image pixels


def guess(
    image_rgb: NDArray[np.uint8],
    objects: Iterable[Object],
    people: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """A label map (H, W) of VOC's classes.

    objects: of all classes but people. people: (H, W) of PERSON, UNKNOWN where somebody may be, and
    BACKGROUND.
    """
    labels = np.full(people.shape, BACKGROUND, np.uint8)
    found = sorted((one for one in objects if one.score >= PERHAPS), key=_area, reverse=True)
    for one in found:  # of two that overlap the smaller is in front
        _add(labels, one, image_rgb, people == PERSON)
    return np.where(people == BACKGROUND, labels, people)  # people are in front of all


def _add(
    labels: NDArray[np.uint8],
    one: Object,
    image_rgb: NDArray[np.uint8],
    others: NDArray[np.bool_],
) -> None:
    """Write an object into a label map: its class, and UNKNOWN in its box where it is not sure."""
    inside = box_pixels(one.box_xyxy, labels.shape)  # type: ignore[arg-type]
    box = labels[inside]
    if not box.size:
        return
    mask = _in_box(image_rgb, one.box_xyxy, others) if one.score >= SURE else None
    box[box == BACKGROUND] = UNKNOWN
    if mask is not None:
        box[mask[inside]] = one.number


def _in_box(
    image_rgb: NDArray[np.uint8], box_xyxy: Sequence[float], others: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """(H, W) of the object in a box; None where it cannot be told. others: what is none of it."""
    size_hw = others.shape
    box = np.asarray(box_xyxy, dtype=np.float64)
    margin = np.tile((box[2:] - box[:2]) * MARGIN, 2) * (-1, -1, 1, 1)
    part = box_pixels((box + margin).tolist(), size_hw)  # type: ignore[arg-type]
    inside = np.zeros(size_hw, bool)
    inside[box_pixels(box_xyxy, size_hw)] = True  # type: ignore[arg-type]
    if min(inside[part].any(axis=0).sum(), inside[part].any(axis=1).sum()) < SMALLEST_PX:
        return None
    image, hint = image_rgb[part], np.where(inside[part], cv2.GC_PR_FGD, cv2.GC_BGD)
    hint[others[part]] = cv2.GC_BGD
    object_there = _grab(image, hint.astype(np.uint8))
    filled = object_there.sum() / max(1, (hint == cv2.GC_PR_FGD).sum())
    if not LEAST_FILLED <= filled <= MOST_FILLED:
        return None
    mask = np.zeros(size_hw, bool)
    mask[part] = object_there
    return mask


def _grab(image_rgb: NDArray[np.uint8], hint: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w) of the foreground that GrabCut finds, at a smaller size."""
    height, width = hint.shape
    scale = min(1.0, WORKING_PX / max(height, width))
    small_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image_rgb, small_wh, interpolation=cv2.INTER_AREA)
    state = cv2.resize(hint, small_wh, interpolation=cv2.INTER_NEAREST)
    if not ((state == cv2.GC_PR_FGD).any() and (state == cv2.GC_BGD).any()):
        return np.zeros((height, width), bool)
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)  # the same guess for the same image
    cv2.grabCut(small, state, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    found = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    whole = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return (whole > 0) & (hint == cv2.GC_PR_FGD)


def _area(one: Object) -> float:
    x1, y1, x2, y2 = one.box_xyxy
    return (x2 - x1) * (y2 - y1)
