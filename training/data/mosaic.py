"""Several images in one: mosaic and simple copy-paste."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.labels.coco import box_pixels
from peopleseg.pixels.geometry import PAD_VALUE
from training.data.samples import seen_boxes
from training.data.scene import Scene, make_scene
from training.data.views import random_part, whole_number

CENTRE = (0.25, 0.75)  # where the four images meet, in parts of the side
SCALES = (0.5, 1.5)  # of each image, against the whole of it in the square


def mosaic(scenes: Sequence[Scene], size: int, scales: tuple[float, float] = SCALES) -> Scene:
    """Random parts of four scenes around a random centre (Bochkovskiy et al. 2020, YOLOv4).

    Boxes are cut to their part; people of whom too little is left become regions to ignore. There
    are no masks, which are for copy-paste. Raises ValueError for another number of scenes.
    """
    if len(scenes) != 4:
        raise ValueError(f"a mosaic is of 4 scenes, not of {len(scenes)}")
    low, high = (round(part * size) for part in CENTRE)
    y, x = whole_number(low, high), whole_number(low, high)
    corners = [(0, 0), (0, x), (y, 0), (y, x)]
    rooms_hw = [(y, x), (y, size - x), (size - y, x), (size - y, size - x)]
    tiles = []
    for scene, (top, left), room_hw in zip(scenes, corners, rooms_hw, strict=True):
        part = _only_seen(random_part(scene, scales, size, room_hw))
        # A part smaller than its room lies at the centre, where it meets the others.
        top += (room_hw[0] - part.size_hw[0]) * (top == 0)
        left += (room_hw[1] - part.size_hw[1]) * (left == 0)
        tiles.append((part, top, left))
    return _joined(tiles, size)


def copy_paste(scene: Scene, other: Scene) -> Scene:
    """Some of the people of `other` in front of `scene` (Ghiasi et al. 2021, arXiv:2012.07177).

    Each that has a mask is pasted with probability 0.5, at the place it has; so both are views of
    one size, with masks. Who is hidden altogether is dropped; who is hidden in part gets the box of
    what is left. Raises ValueError for scenes of different sizes or without masks.
    """
    if scene.size_hw != other.size_hw:
        raise ValueError(
            f"scenes of {scene.size_hw} and {other.size_hw} pixels; make views of one size first"
        )
    masks, ignored = scene.mask_arrays()
    chosen = other.masked & (torch.rand(len(other.boxes)) < 0.5)
    pasted = other.mask_arrays()[0][chosen[other.masked].numpy()]
    front = pasted.any(axis=0)
    behind = masks & ~front
    boxes, left = _left_of(scene, masks, behind, front)
    return make_scene(
        np.where(front[..., None], other.image_rgb(), scene.image_rgb()),
        torch.cat((boxes[left], other.boxes.as_subclass(Tensor)[chosen])),
        torch.cat((scene.short_sides_px[left], other.short_sides_px[chosen])),
        np.concatenate((behind[left[scene.masked].numpy()], pasted)),
        np.where(front, np.uint8(0), ignored)[np.newaxis],
        torch.cat((scene.masked[left], other.masked[chosen])),
        scene.ignored_boxes,
    )


def _joined(tiles: Sequence[tuple[Scene, int, int]], size: int) -> Scene:
    """Scenes at their top and left in a square, apart from each other."""
    image = np.full((size, size, 3), PAD_VALUE, dtype=np.uint8)
    boxes, ignored = [], []
    for part, top, left in tiles:
        height, width = part.size_hw
        image[top : top + height, left : left + width] = part.image_rgb()
        shift = torch.tensor([left, top] * 2)
        boxes.append(part.boxes.as_subclass(Tensor) + shift)
        ignored.append(part.ignored_boxes.as_subclass(Tensor) + shift)
    return make_scene(
        image,
        torch.cat(boxes),
        torch.cat([part.short_sides_px for part, _, _ in tiles]),
        None,
        None,
        torch.cat([part.masked for part, _, _ in tiles]),
        torch.cat(ignored),
    )


def _only_seen(part: Scene) -> Scene:
    """Boxes cut to the part; those of whom too little is left are to be ignored."""
    kept, boxes, ignored = seen_boxes(part)
    return make_scene(
        part.image_rgb(),
        boxes[kept],
        part.short_sides_px[kept],
        None,
        None,
        part.masked[kept],
        ignored,
    )


def _left_of(
    scene: Scene, masks: NDArray[np.uint8], behind: NDArray[np.uint8], front: NDArray[np.bool_]
) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) behind what was pasted, and of whom anything is left (N,).

    Who has no mask keeps the box, and is left where it is not covered altogether.
    """
    boxes = scene.boxes.as_subclass(Tensor).clone()
    left = torch.tensor(
        [not front[box_pixels(box, scene.size_hw)].all() for box in boxes.tolist()],
        dtype=torch.bool,
    )
    boxes[scene.masked] = _boxes_behind(boxes[scene.masked], masks, behind)
    left[scene.masked] = torch.from_numpy(behind.any(axis=(1, 2)))
    return boxes, left


def _boxes_behind(boxes: Tensor, masks: NDArray[np.uint8], behind: NDArray[np.uint8]) -> Tensor:
    """(N, 4): who has lost something gets the box of what is left; the others keep theirs."""
    boxes = boxes.as_subclass(Tensor).clone()
    for box, before, after in zip(boxes, masks, behind, strict=True):
        if after.any() and (after != before).any():
            x, y, width, height = cv2.boundingRect(after)
            box[:] = torch.tensor([x, y, x + width, y + height])
    return boxes
