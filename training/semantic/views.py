"""What part of a labelled image is seen, and how large: the image and its label map together.

Every random choice is drawn from torch's global generator.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.pixels.geometry import Letterbox, Resize
from training.data.colour import jittered
from training.data.views import uniform, whole_number

Strength = Literal["none", "basic", "enhanced"]

MEAN_RGB = (124, 116, 104)  # of ImageNet; around an image that is smaller than the view
SCALES = (0.5, 2.0)  # of an enhanced view, against the whole image in the square


class Labelled(NamedTuple):
    """An image, or a view of one, and the class of each of its pixels."""

    image_rgb: NDArray[np.uint8]  # (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W); UNKNOWN where no class is known


View = Callable[[Labelled], Labelled]


def whole_view(seen: Labelled, size: int, resize: Resize = "letterbox") -> Labelled:
    """The whole image in a square, as the server gives it to the network."""
    height, width = seen.labels.shape
    box = Letterbox.placed(resize, width, height, size)
    rows, columns = box.content_slices(size)
    labels = np.full((size, size), UNKNOWN, np.uint8)
    labels[rows, columns] = _sampled(
        seen.labels, (rows.stop - rows.start, columns.stop - columns.start)
    )
    return Labelled(box.apply(seen.image_rgb, size), labels)


def basic_view(seen: Labelled, size: int, resize: Resize = "letterbox") -> Labelled:
    """The whole image, flipped half of the time, in other colours."""
    return _coloured(_flipped(whole_view(seen, size, resize)))


def enhanced_view(
    seen: Labelled, size: int, scales: tuple[float, float] = SCALES, resize: Resize = "letterbox"
) -> Labelled:
    """A random part at a random scale, flipped half of the time, in other colours.

    A scale of 1 shows the image as large as the whole of it is in the square. What is smaller than
    the square is padded before the part is chosen: the image with MEAN_RGB, the labels with
    UNKNOWN.
    """
    scale = math.exp(uniform(math.log(scales[0]), math.log(scales[1])))
    sides = seen.labels.shape
    wanted = (max(sides),) * 2 if resize == "letterbox" else sides
    shown_hw = [
        max(1, round(side * scale * size / whole))
        for side, whole in zip(sides, wanted, strict=True)
    ]
    large = _padded(_resized(seen, (shown_hw[0], shown_hw[1])), size)
    top, left = (whole_number(0, side - size) for side in large.labels.shape)
    part = slice(top, top + size), slice(left, left + size)
    return _coloured(_flipped(Labelled(large.image_rgb[part], large.labels[part])))


def view_of(
    strength: Strength,
    size: int,
    scales: tuple[float, float] = SCALES,
    resize: Resize = "letterbox",
) -> View:
    """By the strength of augmentation. Raises ValueError for another strength or resize."""
    if strength not in get_args(Strength) or resize not in get_args(Resize):
        raise ValueError(
            f"strength {strength!r}, resize {resize!r}; expected one of {get_args(Strength)} and "
            f"one of {get_args(Resize)}"
        )
    if strength == "enhanced":
        return lambda seen: enhanced_view(seen, size, scales, resize)
    view = {"none": whole_view, "basic": basic_view}[strength]
    return lambda seen: view(seen, size, resize)


def _flipped(seen: Labelled) -> Labelled:
    if torch.rand(()) < 0.5:
        return seen
    return Labelled(*(np.ascontiguousarray(one[:, ::-1]) for one in seen))


def _coloured(seen: Labelled) -> Labelled:
    """As published."""
    colours = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
    return seen._replace(image_rgb=jittered(np.ascontiguousarray(seen.image_rgb), **colours))


def _resized(seen: Labelled, size_hw: tuple[int, int]) -> Labelled:
    """The image bilinear, or by area where it shrinks; the labels by the nearest."""
    if seen.labels.shape == size_hw:
        return seen
    shrinks = size_hw[0] * size_hw[1] < seen.labels.size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    image = cv2.resize(seen.image_rgb, size_hw[::-1], interpolation=interpolation)
    return Labelled(image, _sampled(seen.labels, size_hw))  # type: ignore[arg-type]


def _sampled(labels: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The label in which the centre of each cell lies."""
    rows, columns = (
        ((np.arange(cells) + 0.5) * side / cells).astype(np.intp)
        for cells, side in zip(size_hw, labels.shape, strict=True)
    )
    return labels[rows].take(columns, axis=1)


def _padded(seen: Labelled, size: int) -> Labelled:
    """At least `size` pixels a side: what is added lies below and to the right, or before both."""
    height, width = seen.labels.shape
    rows, columns = max(height, size), max(width, size)
    if (rows, columns) == (height, width):
        return seen
    top, left = whole_number(0, rows - height), whole_number(0, columns - width)
    image = np.full((rows, columns, 3), MEAN_RGB, np.uint8)
    labels = np.full((rows, columns), UNKNOWN, np.uint8)
    inside = slice(top, top + height), slice(left, left + width)
    image[inside], labels[inside] = seen
    return Labelled(image, labels)
