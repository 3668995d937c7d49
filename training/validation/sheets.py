"""Titled squares, of which validation's sheets are made."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.lettering import FONT

CELL_PX = 400  # side of the square in which each image lies
TITLE_PX = 24  # height of the line above it
MARGIN_PX = 4
PAPER, INK = 255, (0, 0, 0)
_TITLE_SCALE = 0.5


class Drawing(NamedTuple):
    """An image with what is drawn over it, and what the line above it says."""

    image_rgb: NDArray[np.uint8]
    title: str


def cell(drawing: Drawing) -> NDArray[np.uint8]:
    """(TITLE_PX + CELL_PX, CELL_PX, 3): the title over the image, letterboxed."""
    height, width = drawing.image_rgb.shape[:2]
    square = Letterbox.fit(width, height, CELL_PX).apply(drawing.image_rgb, CELL_PX)
    return np.concatenate((line(drawing.title, CELL_PX), square))


def line(text: str, width: int) -> NDArray[np.uint8]:
    """(TITLE_PX, width, 3): a line of text on paper."""
    paper = np.full((TITLE_PX, width, 3), PAPER, dtype=np.uint8)
    baseline = (MARGIN_PX, TITLE_PX - 2 * MARGIN_PX)
    return cv2.putText(paper, text, baseline, FONT, _TITLE_SCALE, INK, 1, cv2.LINE_AA)
