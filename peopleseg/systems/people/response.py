"""The last step: from the networks' outputs, in the square, to the response, in the image sent."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import (
    encode_rle,
    paste_mask,
    person_probability,
    resample,
    target_probability,
)
from peopleseg.systems.people.scores import GIVEN_SCORE, ScoreFit, distinct, mask_confidences
from peopleseg.systems.people.selection import is_person

_ROWS_AT_ONCE = 512


class People(NamedTuple):
    """The n people of one image."""

    boxes: NDArray[np.float32]  # (n, 4) xyxy, pixels of the image sent
    scores: NDArray[np.float32]  # (n,)
    masks: NDArray[np.uint8]  # (n, h, w) target probability x 255 over the box
    rles: list[dict[str, Any]]  # COCO compressed RLE at the image's size


def people_of(
    mask_logits: NDArray[np.float32],
    rois: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    *,
    presence_logit: NDArray[np.float32] | None = None,
    score_fit: ScoreFit | None = None,
    mask_shift: float = 0.0,
    max_mask_iou: float = 1.0,
    min_score: float = 0.0,
) -> People:
    """mask_logits (N, 3, h, w), rois (N, 5) in network pixels, scores (N,), presence_logit (N, 1).

    mask_shift is added to the logits of who is masked. People of a caller's boxes come in their
    order. Those whom the detector found come best first,
    with the score of `score_fit` in place of the detector's, without those below min_score and
    without whose mask has an IoU above max_mask_iou with a better one's.
    """
    found = is_person(scores)
    boxes = letterbox.boxes_to_image(rois[found, 1:])
    masks = target_probability(mask_logits[found], mask_shift)
    size_hw = letterbox.height, letterbox.width
    rles = [
        encode_rle(paste_mask(mask, box, size_hw)) for mask, box in zip(masks, boxes, strict=True)
    ]
    people = People(boxes, scores[found], masks, rles)
    if (people.scores == GIVEN_SCORE).all():
        return people
    if score_fit is not None:
        judged = None if presence_logit is None else presence_logit[found, 0]
        fitted = score_fit(people.scores, mask_confidences(masks), judged)
        people = people._replace(scores=fitted)
    return _best_first(people, min_score, max_mask_iou)


def _best_first(people: People, min_score: float, max_mask_iou: float) -> People:
    order = np.argsort(-people.scores, kind="stable")
    order = order[people.scores[order] >= min_score]
    chosen = order[distinct([people.rles[place] for place in order], max_mask_iou)]
    return People(
        people.boxes[chosen],
        people.scores[chosen],
        people.masks[chosen],
        [people.rles[place] for place in chosen],
    )


def foreground_of(person_logit: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.uint8]:
    """(640, 640) logits to (height, width) person probability x 255 in the image sent."""
    content = person_logit[letterbox.content_slices()]
    columns = _content_positions(letterbox.width, letterbox.scale_x, content.shape[1])
    rows = _content_positions(letterbox.height, letterbox.scale_y, content.shape[0])
    foreground = np.empty((letterbox.height, letterbox.width), dtype=np.uint8)
    for top in range(0, len(rows), _ROWS_AT_ONCE):  # the float maps of a large image stay small
        block = slice(top, top + _ROWS_AT_ONCE)
        foreground[block] = person_probability(resample(content, rows[block], columns))
    return foreground


def _content_positions(length: int, scale: float, cells: int) -> NDArray[np.float32]:
    """Where the centres of the image's pixels lie in the content of the square, in its pixels."""
    positions = (np.arange(length) + 0.5) * scale - 0.5
    return np.clip(positions, 0, cells - 1).astype(np.float32)
