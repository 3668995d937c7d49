"""Masks for people who are annotated by a box alone, where a mask head is sure of them.

A mask is kept when the head agrees with itself, on the mirrored image and on a box with a margin,
and with the person's keypoints. What a person's mask should not have is told by the others'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from peopleseg.pixels.masks import decode_rle, encode_rle
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.response import People

MARGIN = 0.05  # of a box's sides, added at each edge for the second look
KEYPOINT_MARGIN = 0.03  # of a box's longer side, by which a keypoint may miss its mask


class Segmenter(Protocol):
    def segment_from_boxes(self, image: bytes, boxes_xyxy: NDArray[np.float32], /) -> People:
        """One mask a box, at most MAX_PEOPLE."""


@dataclass(frozen=True)
class Agreement:
    """What a mask has to show to be kept."""

    least_iou: float = 0.85  # with the mirrored image's mask, and with that of the wider box
    least_keypoints: float = 0.9  # part of the person's visible keypoints that lie in the mask
    most_of_others: float = 0.25  # part of the others' visible keypoints in the box that lie in it
    smallest_side_px: float = 24.0  # of a box


def filled(
    segmenter: Segmenter,
    image_rgb: NDArray[np.uint8],
    annotations: Sequence[Mapping[str, Any]],
    agreement: Agreement = Agreement(),  # noqa: B008  (frozen)
) -> dict[int, dict[str, Any]]:
    """Places of annotations that get a mask, and their COCO RLE.

    image_rgb: (h, w, 3). annotations: COCO entries of its people; those with a segmentation and
    crowds are left alone. Raises what the segmenter raises.
    """
    wanted = [place for place, entry in enumerate(annotations) if _wants(entry, agreement)]
    boxes = _boxes([annotations[place] for place in wanted])
    masks: dict[int, dict[str, Any]] = {}
    for first in range(0, len(wanted), MAX_PEOPLE):
        part = slice(first, first + MAX_PEOPLE)
        rles = _agreed(segmenter, image_rgb, boxes[part], agreement.least_iou)
        for place, rle in zip(wanted[part], rles, strict=True):
            if rle is not None and _fits_keypoints(rle, place, annotations, agreement):
                masks[place] = rle
    return masks


def _agreed(
    segmenter: Segmenter,
    image_rgb: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    least_iou: float,
) -> list[dict[str, Any] | None]:
    """The mask of each box; None where a second look says another."""
    width = image_rgb.shape[1]
    plain, mirrored = (_encoded(image) for image in (image_rgb, image_rgb[:, ::-1]))
    margins = MARGIN * np.tile(boxes[:, 2:] - boxes[:, :2], 2) * (-1, -1, 1, 1)
    across = np.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), axis=1)
    rles = segmenter.segment_from_boxes(plain, boxes).rles
    wider = segmenter.segment_from_boxes(plain, (boxes + margins).astype(np.float32)).rles
    flipped = segmenter.segment_from_boxes(mirrored, across.astype(np.float32)).rles
    kept: list[dict[str, Any] | None] = []
    for rle, one, other in zip(rles, wider, flipped, strict=True):
        back = encode_rle(decode_rle(other)[:, ::-1])
        ious = coco_mask.iou([rle], [one, back], [0, 0])
        kept.append(rle if ious.min() >= least_iou else None)
    return kept


def _fits_keypoints(
    rle: dict[str, Any],
    place: int,
    annotations: Sequence[Mapping[str, Any]],
    agreement: Agreement,
) -> bool:
    box = _boxes([annotations[place]])[0]
    reach = 2 * round(KEYPOINT_MARGIN * float(max(box[2:] - box[:2]))) + 1
    wide = np.asarray(cv2.dilate(decode_rle(rle), np.ones((reach, reach), np.uint8)), np.uint8)
    own = _visible(annotations[place])
    others = [_visible(e) for other, e in enumerate(annotations) if other != place]
    near = [points[_inside(points, box)] for points in others]
    foreign = np.concatenate([np.empty((0, 2)), *near])
    return (
        _part_in(own, wide, none=1.0) >= agreement.least_keypoints
        and _part_in(foreign, decode_rle(rle), none=0.0) <= agreement.most_of_others
    )


def _wants(entry: Mapping[str, Any], agreement: Agreement) -> bool:
    short_side = min(entry["bbox"][2:])
    return (
        not entry.get("segmentation")
        and not entry.get("iscrowd")
        and short_side >= agreement.smallest_side_px
    )


def _boxes(entries: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """(n, 4) xyxy."""
    xywh = np.array([entry["bbox"] for entry in entries], dtype=np.float32).reshape(-1, 4)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)


def _visible(entry: Mapping[str, Any]) -> NDArray[np.float64]:
    """(n, 2) x, y of the keypoints that are seen; those that are guessed behind others are not."""
    points = np.array(entry.get("keypoints") or [], dtype=np.float64).reshape(-1, 3)
    return points[points[:, 2] == 2, :2]


def _inside(points: NDArray[np.float64], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    return ((points >= box[:2]) & (points <= box[2:])).all(axis=1)  # type: ignore[no-any-return]


def _part_in(points: NDArray[np.float64], mask: NDArray[np.uint8], *, none: float) -> float:
    """Part of the points that lie in a mask; `none` without points."""
    if not len(points):
        return none
    height, width = mask.shape
    columns = points[:, 0].astype(int).clip(0, width - 1)
    rows = points[:, 1].astype(int).clip(0, height - 1)
    return float(mask[rows, columns].mean())


def _encoded(image_rgb: NDArray[np.uint8]) -> bytes:
    """A PNG, which loses nothing."""
    return cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
