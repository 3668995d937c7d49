"""The last step: from the maps of the square to those of the image sent."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox


def in_image(square: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    """A map (S, S) of the square's pixels as (height, width) of the image: the nearest values."""
    content = square[letterbox.content_slices(square.shape[0])]
    rows = _nearest(letterbox.height, letterbox.scale_y, content.shape[0])
    columns = _nearest(letterbox.width, letterbox.scale_x, content.shape[1])
    return content[rows].take(columns, axis=1)


def areas_of(classes: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """(count,) share of a class map that is of each class."""
    return (np.bincount(classes.reshape(-1), minlength=count) / classes.size).astype(np.float32)


def _nearest(length: int, scale: float, cells: int) -> NDArray[np.intp]:
    """The pixel of the content in which the centre of each of the image's pixels lies."""
    return np.minimum(((np.arange(length) + 0.5) * scale).astype(np.intp), cells - 1)
