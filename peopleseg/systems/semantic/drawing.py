"""Draw the classes of an image over it, with a legend."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.lettering import Colour, Lettering
from peopleseg.systems.semantic.contract import BACKGROUND
from peopleseg.systems.semantic.palette import palette
from peopleseg.systems.semantic.response import areas_of

OPACITY = 0.5


def draw_classes(
    image_rgb: NDArray[np.uint8], classes: NDArray[np.uint8], names: Sequence[str]
) -> NDArray[np.uint8]:
    """A copy of an image with the classes of its pixels in Pascal VOC's colours, and a legend.

    image_rgb: (H, W, 3) uint8 RGB. classes: (H, W) numbers below len(names). The background stays
    as it is. The legend names the classes that are there, the largest first; those that it has no
    room for are left out of it.

    Raises ValueError for classes of an image of another size.
    """
    if classes.shape != image_rgb.shape[:2]:
        raise ValueError(
            f"the classes are of an image of (H, W) {classes.shape}, this one has "
            f"{image_rgb.shape[:2]}"
        )
    blended = cv2.addWeighted(image_rgb, 1 - OPACITY, palette()[classes], OPACITY, 0)
    image = np.where((classes == BACKGROUND)[..., None], image_rgb, blended).astype(np.uint8)
    areas = dict(zip(names, areas_of(classes, len(names)).tolist(), strict=True))
    _draw_legend(image, [name for name in largest_first(areas) if name != names[BACKGROUND]], names)
    return image


def largest_first(areas: Mapping[str, float]) -> list[str]:
    """Names of the classes that are there."""
    return sorted((name for name in areas if areas[name]), key=lambda name: -areas[name])


def _draw_legend(image: NDArray[np.uint8], there: Sequence[str], names: Sequence[str]) -> None:
    """A row for each class, on its colour, in the upper left corner."""
    height, width = image.shape[:2]
    lettering = Lettering.of((height, width))
    sizes = [lettering.size_wh(name) for name in there]
    row_height = max((size[1] for size in sizes), default=0) * 5 // 3 + 2
    row_width = max((size[0] for size in sizes), default=0) + row_height
    if row_width > width:
        return
    for row, name in enumerate(there[: height // row_height]):
        top, colour = row * row_height, _colour(names.index(name))
        corners = (0, top), (row_width - 1, top + row_height - 1)
        cv2.rectangle(image, *corners, colour, cv2.FILLED)
        baseline = top + (row_height + sizes[row][1]) // 2
        lettering.write(image, name, (row_height // 2, baseline), on=colour)


def _colour(number: int) -> Colour:
    red, green, blue = palette()[number].tolist()
    return red, green, blue
