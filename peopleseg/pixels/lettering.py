"""Text in images, as large as the image needs it to be readable."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]  # RGB, 0 to 255

FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 21  # of FONT at scale 1
_HEIGHT = 1 / 48  # of the image's geometric mean side
_SMALLEST_PX = 9  # of a text's height; smaller is not readable


@dataclass(frozen=True)
class Lettering:
    """How texts are written into one image."""

    scale: float
    thickness: int  # pixels of a line

    @classmethod
    def of(cls, size_hw: tuple[int, int]) -> "Lettering":
        """Growing with the image."""
        text_px = max(_SMALLEST_PX, math.sqrt(size_hw[0] * size_hw[1]) * _HEIGHT)
        return cls(text_px / _FONT_HEIGHT_PX, max(1, round(text_px / 10)))

    def size_wh(self, text: str) -> tuple[int, int]:
        """Pixels of a text."""
        (width, height), _ = cv2.getTextSize(text, FONT, self.scale, self.thickness)
        return width, height

    def write(
        self, image: NDArray[np.uint8], text: str, left_bottom: tuple[int, int], on: Colour
    ) -> None:
        """Draw a text onto a colour, so that it can be read."""
        colour = _readable_on(on)
        cv2.putText(
            *(image, text, left_bottom, FONT, self.scale, colour, self.thickness, cv2.LINE_AA)
        )


def _readable_on(colour: Colour) -> Colour:
    red, green, blue = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 128  # luma of ITU-R BT.601
    return (0, 0, 0) if bright else (255, 255, 255)
