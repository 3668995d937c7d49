"""The worst images, each as it is annotated beside what was answered, on one sheet."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.lettering import FONT
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.drawing import draw_people
from peopleseg.systems.people.evaluation.matches import Entry, Matched
from peopleseg.systems.people.evaluation.mistakes import mistakes
from peopleseg.systems.people.person import Person

CELL_PX = 480  # side of the square in which an image lies
TITLE_PX = 24  # height of the line above it
MARGIN_PX = 4
PAIRS = 2  # of images in a row of the sheet
PAPER, INK = 255, (0, 0, 0)


def contact_sheet(images: Sequence[Matched]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: left what is true, right who was found; at least one image.

    Raises OSError for an image that is gone.
    """
    pairs = [_pair(one) for one in images]
    pairs += [np.full_like(pairs[0], PAPER)] * (-len(pairs) % PAIRS)
    rows = [_beside(pairs[first : first + PAIRS]) for first in range(0, len(pairs), PAIRS)]
    return np.vstack(rows)


def _pair(compared: Matched) -> NDArray[np.uint8]:
    image = compared.image
    photo = decode_image(image.read())
    true = draw_people(photo, [_true_person(image, one) for one in image.people], scores=False)
    found = draw_people(photo, [_found_person(image, one) for one in compared.found])
    cells = _beside([_cell(true), _cell(found)])
    title = (
        f"{image.path.name}: {mistakes(compared)} wrong, {int(compared.missed.sum())} of "
        f"{len(compared.people)} missed, {len(compared.wrong)} false"
    )
    return np.vstack([_line(title, cells.shape[1]), cells])


def _beside(parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    margin = np.full((parts[0].shape[0], MARGIN_PX, 3), PAPER, dtype=np.uint8)
    return np.hstack([parts[0], *(piece for part in parts[1:] for piece in (margin, part))])


def _true_person(image: AnnotatedImage, person: Annotation) -> Person:
    size_hw = (image.height, image.width)
    mask = person.mask(*size_hw) if person.masked else np.zeros(size_hw, dtype=np.uint8)
    return _person(person.box_xyxy, 1.0, encode_rle(mask))


def _found_person(image: AnnotatedImage, entry: Entry) -> Person:
    x, y, width, height = entry["bbox"]
    return _person((x, y, x + width, y + height), entry["score"], entry["segmentation"])


def _person(box_xyxy: tuple[float, float, float, float], score: float, rle: Any) -> Person:
    """With its mask in the image alone."""
    return Person(box_xyxy, score, np.zeros((1, 1), dtype=np.uint8), rle)


def _cell(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image_rgb.shape[:2]
    return Letterbox.fit(width, height, CELL_PX).apply(image_rgb, CELL_PX)


def _line(text: str, width: int) -> NDArray[np.uint8]:
    line = np.full((TITLE_PX, width, 3), PAPER, dtype=np.uint8)
    baseline = (MARGIN_PX, TITLE_PX - 2 * MARGIN_PX)
    cv2.putText(line, text, baseline, FONT, 0.5, INK, 1, cv2.LINE_AA)
    return line
