"""Draw a response over its image."""

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.lettering import Colour, Lettering
from peopleseg.systems.people.person import Person

GOLDEN_RATIO = 0.618033988749895
MASK_OPACITY = 0.45


def draw_people(
    image_rgb: NDArray[np.uint8], people: Sequence[Person], *, scores: bool = True
) -> NDArray[np.uint8]:
    """A copy of an image with everybody's mask, outline, box and score, one colour a person.

    image_rgb: (H, W, 3) uint8 RGB, of the size that the server saw. The first person, the best by
    score, lies on top. Lines and labels grow with the image; a label that does not fit is left out.
    scores: False leaves all labels out.

    Raises ValueError when the people belong to an image of another size.
    """
    image = np.ascontiguousarray(image_rgb).copy()
    for person in people:
        if tuple(person.rle["size"]) != image.shape[:2]:
            raise ValueError(
                f"the people are of an image of (H, W) {tuple(person.rle['size'])}, "
                f"this one has {image.shape[:2]}"
            )
    coloured = list(zip(people, colours(len(people)), strict=True))[::-1]
    for person, colour in coloured:
        _draw_mask(image, person, colour)
    for person, colour in coloured:
        _draw_box(image, person, colour)
    for person, colour in coloured if scores else ():
        _draw_label(image, person, colour)
    return image


def colours(count: int) -> list[Colour]:
    """Bright RGB colours, each as far from the earlier ones as the golden ratio places its hue."""
    return [_colour(index) for index in range(count)]


def _colour(index: int) -> Colour:
    saturation = (0.9, 0.6)[index // 12 % 2]  # after a dozen hues the eye needs another difference
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, saturation, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw_mask(image: NDArray[np.uint8], person: Person, colour: Colour) -> None:
    left, top, right, bottom = _pixel_box(image, person)
    part = image[top:bottom, left:right]  # only the box: a large image stays quick
    mask = person.image_mask[top:bottom, left:right]
    blended = part[mask] * (1 - MASK_OPACITY) + np.array(colour) * MASK_OPACITY
    part[mask] = np.rint(blended).astype(np.uint8)
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(left, top)
    )
    cv2.drawContours(image, outlines, -1, colour, _line_px(image), cv2.LINE_AA)


def _draw_box(image: NDArray[np.uint8], person: Person, colour: Colour) -> None:
    left, top, right, bottom = _pixel_box(image, person)
    cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, _line_px(image))


def _draw_label(image: NDArray[np.uint8], person: Person, colour: Colour) -> None:
    height, width = image.shape[:2]
    text = f"{person.score:.2f}"
    lettering = Lettering.of((height, width))
    text_width, text_height = lettering.size_wh(text)
    margin = text_height // 3 + 1
    label_width, label_height = text_width + 2 * margin, text_height + 2 * margin
    if label_width > width or label_height > height:
        return
    left, top, _, _ = _pixel_box(image, person)
    left = min(left, width - label_width)
    top = top - label_height if top >= label_height else min(top, height - label_height)
    cv2.rectangle(
        image, (left, top), (left + label_width - 1, top + label_height - 1), colour, cv2.FILLED
    )
    lettering.write(image, text, (left + margin, top + margin + text_height), on=colour)


def _pixel_box(image: NDArray[np.uint8], person: Person) -> tuple[int, int, int, int]:
    """The pixels that the box touches: left, top, and behind the last ones; at least one pixel."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = person.box_xyxy
    left, top = min(max(0, int(x1)), width - 1), min(max(0, int(y1)), height - 1)
    right = min(max(left + 1, int(np.ceil(x2))), width)
    bottom = min(max(top + 1, int(np.ceil(y2))), height)
    return left, top, right, bottom


def _line_px(image: NDArray[np.uint8]) -> int:
    height, width = image.shape[:2]
    return max(1, round(math.sqrt(height * width) / 400))
