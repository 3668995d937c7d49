"""A YOLO segmenter (v8 or 11) as a peer, from an ONNX file: one network makes boxes and masks.

The file's two outputs, as ultralytics exports them: predictions [1, 4 + classes + 32, anchors] with
cx, cy, w, h in pixels of the input, scores and mask coefficients; prototypes [1, 32, h, w]. As many
people as the image has get a mask, so that the work does not depend on what a file's weights find.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.mask_rcnn.speed import Response, square_of
from benchmarks.speed.devices import open_model
from benchmarks.speed.targets import PeopleRequest
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox, clip_boxes
from peopleseg.pixels.masks import encode_rle, person_probability, resample
from peopleseg.systems.people.selection import suppressed

PERSON = 4  # the row of its score: the first class
MAX_IOU = 0.7  # of two people's boxes, as published
CANDIDATES = 300  # before non-maximum suppression


class YoloSeg:
    """Answers by ONNX Runtime. Raises ValueError for a file with other outputs."""

    def __init__(self, path: Path, *, threads: int, device: str) -> None:
        self._model = open_model(path, threads=threads, device=device)
        if len(self._model.output_names) != 2:
            raise ValueError(
                f"{path} has the outputs {', '.join(self._model.output_names)}; a YOLO segmenter "
                "has predictions and prototypes"
            )
        self._input = self._model.input_names[0]

    def __call__(self, request: PeopleRequest) -> Response:
        image, letterbox = square_of(request)
        first, second = self._model(**{self._input: image[None]}).values()
        predictions, prototypes = (first, second) if first.ndim == 3 else (second, first)
        boxes, coefficients = best_people(predictions[0], request.people)
        logits = np.tensordot(coefficients, prototypes[0], axes=1)  # [n, h, w]
        size = letterbox.width, letterbox.height
        rles = [
            encode_rle(mask_in_image(logit, box, letterbox))
            for logit, box in zip(logits, boxes, strict=True)
        ]
        return Response(clip_boxes(letterbox.boxes_to_image(boxes), *size), rles)


def best_people(
    predictions: NDArray[np.float32], people: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (n, 4) xyxy in network pixels and mask coefficients (n, 32), n at most `people`."""
    scores = predictions[PERSON]
    order = np.argsort(-scores)[:CANDIDATES]
    centres, sizes = predictions[:2, order].T, predictions[2:4, order].T
    boxes = np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)
    best = suppressed(boxes, scores[order], 0.0, MAX_IOU)[:people]
    return boxes[best].astype(np.float32), predictions[-32:, order[best]].T


def mask_in_image(
    logit: NDArray[np.float32], box_xyxy: NDArray[np.float32], letterbox: Letterbox
) -> NDArray[np.uint8]:
    """A prototype-sized logit (h, w), cut to its box in network pixels, at the image's size."""
    stride = INPUT_SIZE / logit.shape[0]
    x1, y1, x2, y2 = letterbox.boxes_to_image(box_xyxy[None])[0]
    left, top = max(0, int(x1)), max(0, int(y1))
    right, bottom = min(letterbox.width, int(x2) + 1), min(letterbox.height, int(y2) + 1)
    mask = np.zeros((letterbox.height, letterbox.width), dtype=np.uint8, order="F")
    if right <= left or bottom <= top:
        return mask
    columns = (
        (np.arange(left, right) + 0.5) * letterbox.scale_x + letterbox.pad_left
    ) / stride - 0.5
    rows = ((np.arange(top, bottom) + 0.5) * letterbox.scale_y + letterbox.pad_top) / stride - 0.5
    positions = (
        np.clip(axis, 0, cells - 1).astype(np.float32)
        for axis, cells in zip((rows, columns), logit.shape, strict=True)
    )
    mask[top:bottom, left:right] = person_probability(resample(logit, *positions)) > 127
    return mask
