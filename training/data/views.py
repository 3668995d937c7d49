"""What part of a scene is seen, and how large: image, masks and boxes together.

Coordinates are continuous: pixel (column i, row j) covers [i, i+1] x [j, j+1].
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.pixels.geometry import PAD_VALUE, Letterbox, Resize
from training.data.scene import OUTSIDE, Scene


def in_square(scene: Scene, size: int, resize: Resize) -> Scene:
    """The whole image in a square as the server puts it there: letterboxed, or over all of it, as
    in the published hierarchical training."""
    height, width = scene.size_hw
    box = Letterbox.placed(resize, width, height, size)
    rows, columns = box.content_slices(size)
    shown_hw = rows.stop - rows.start, columns.stop - columns.start
    y, x = _nearest(shown_hw[0], box.scale_y, height), _nearest(shown_hw[1], box.scale_x, width)
    masks, ignored = _sampled(scene.masks, y, x), _sampled(scene.ignored, y, x)
    inside, size_hw = (rows, columns), (size, size)
    return scene.viewed(
        box.apply(np.ascontiguousarray(scene.image_rgb()), size),
        lambda boxes: torch.from_numpy(box.boxes_to_network(boxes.numpy())),
        _within(masks, inside, size_hw, 0),
        _within(ignored, inside, size_hw, OUTSIDE),
    )


def random_part(
    scene: Scene,
    scales: tuple[float, float],
    size: int,
    most_hw: tuple[int, int],
    resize: Resize = "letterbox",
) -> Scene:
    """A random part of at most most_hw pixels, at a random scale.

    A scale of 1 shows the image as large as the whole of it is in a square of `size`.
    """
    scale = math.exp(uniform(math.log(scales[0]), math.log(scales[1])))
    sides = scene.size_hw
    longest = max(sides)
    slices, shown_hw = [], []
    for side, most in zip(sides, most_hw, strict=True):
        zoom = scale * size / (longest if resize == "letterbox" else side)
        shown = min(most, max(1, round(side * zoom)))
        part = min(side, max(1, round(shown / zoom)))
        start = whole_number(0, side - part)
        slices.append(slice(start, start + part))
        shown_hw.append(shown)
    return resized_part(scene, (slices[0], slices[1]), (shown_hw[0], shown_hw[1]))


def resized_part(scene: Scene, part: tuple[slice, slice], size_hw: tuple[int, int]) -> Scene:
    """Rows and columns of a scene, resized to size_hw.

    Pixels bilinear, or by area where both sides shrink, as the server does; masks by the nearest.
    """
    rows, columns = part
    source_hw = rows.stop - rows.start, columns.stop - columns.start
    zoom_y, zoom_x = (shown / side for shown, side in zip(size_hw, source_hw, strict=True))
    image = scene.image_rgb()[rows, columns]
    if size_hw != source_hw:
        interpolation = cv2.INTER_AREA if max(zoom_y, zoom_x) < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, size_hw[::-1], interpolation=interpolation)
    corner = torch.tensor([columns.start, rows.start] * 2, dtype=torch.float32)
    zoom = torch.tensor([zoom_x, zoom_y] * 2, dtype=torch.float32)
    y = rows.start + _nearest(size_hw[0], zoom_y, source_hw[0])
    x = columns.start + _nearest(size_hw[1], zoom_x, source_hw[1])
    return scene.viewed(
        np.ascontiguousarray(image),
        lambda boxes: (boxes - corner) * zoom,
        *(_sampled(masks, y, x) for masks in (scene.masks, scene.ignored)),
    )


def randomly_bordered(scene: Scene, size: int) -> Scene:
    """The scene anywhere in a square: around it grey, no masks, and OUTSIDE to be ignored."""
    (height, width), size_hw = scene.size_hw, (size, size)
    top, left = whole_number(0, size - height), whole_number(0, size - width)
    if (height, width) == size_hw:
        return scene
    inside = (slice(top, top + height), slice(left, left + width))
    image = np.full((*size_hw, 3), PAD_VALUE, dtype=np.uint8)
    image[inside] = scene.image_rgb()
    shift = torch.tensor([left, top] * 2, dtype=torch.float32)
    return scene.viewed(
        image,
        lambda boxes: boxes + shift,
        _within(scene.masks, inside, size_hw, 0),
        _within(scene.ignored, inside, size_hw, OUTSIDE),
    )


def _nearest(cells: int, zoom: float, limit: int) -> NDArray[np.int64]:
    """The pixel in which the centre of each of a row of cells lies, zoom = cells a pixel."""
    centres = (np.arange(cells) + 0.5) / zoom
    return np.minimum(centres.astype(np.int64), limit - 1)


def _sampled(
    masks: Tensor | None, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.uint8] | None:
    if masks is None:
        return None
    return masks.numpy().take(rows, axis=1).take(columns, axis=2)


def _within(
    masks: Tensor | NDArray[np.uint8] | None,
    inside: tuple[slice, slice],
    size_hw: tuple[int, int],
    outside: int,
) -> NDArray[np.uint8] | None:
    """Masks (N, h, w) at their place in larger ones."""
    if masks is None:
        return None
    larger = np.full((len(masks), *size_hw), outside, dtype=np.uint8)
    larger[:, inside[0], inside[1]] = masks
    return larger


def uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def whole_number(low: int, high: int) -> int:
    """Both ends are among them."""
    return int(torch.randint(low, high + 1, ()))
