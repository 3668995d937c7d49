"""A few images, each beside its true and its found class map, in Pascal VOC's colours."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from peopleseg.errors import InvalidInput
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import UNKNOWN, LabelledImage
from peopleseg.pixels.images import decode_image
from peopleseg.systems.semantic.palette import palette
from training.validation.semantic.evaluation import SIZE, class_map
from training.validation.sheets import (
    CELL_PX,
    MARGIN_PX,
    PAPER,
    TITLE_PX,
    Drawing,
    cell,
    line,
)

SHOWN = 4  # images
LOOKED_AT = 100  # from which they are chosen
CELLS = 3  # of an image: itself, what is true, what is found
WIDTH_PX = CELLS * (CELL_PX + MARGIN_PX) + MARGIN_PX
ENTRY_PX = WIDTH_PX // 6  # of the legend

ClassMap = NDArray[np.uint8]


def choose_images(images: Sequence[LabelledImage], classes: int) -> list[LabelledImage]:
    """SHOWN of the first LOOKED_AT, each with as many classes as can be that none before has.

    One with a broken label map is left out.
    """
    left = {image: there for image in images[:LOOKED_AT] if (there := _classes_of(image, classes))}
    chosen: list[LabelledImage] = []
    seen: set[int] = set()
    while left and len(chosen) < SHOWN:
        best = max(left, key=lambda image: len(left[image] - seen))
        seen |= left.pop(best)
        chosen.append(best)
    return chosen


def sheet_of(
    network: nn.Module,
    names: Sequence[str],
    images: Sequence[LabelledImage],
    size: int | None = None,
) -> NDArray[np.uint8]:
    """(H, W, 3): a row for each image, and below a legend of the classes in them.

    The network is in evaluation mode and stays on its device. An image that does not decode is left
    out.
    """
    device = next(network.parameters()).device
    rows: list[NDArray[np.uint8]] = []
    maps: list[ClassMap] = []
    for image in images:
        try:
            data = image.read()
            found = class_map(network, data, device, size or SIZE)
        except (InvalidInput, OSError):
            continue
        true = image.label_map(len(names))
        maps += [true, found]
        drawings = (
            Drawing(decode_image(data), image.name),
            Drawing(coloured(true), "true"),
            Drawing(coloured(found), f"found: {_right(true, found):.0%} of the pixels right"),
        )
        rows.append(_row([cell(drawing) for drawing in drawings]))
    margin = np.full((MARGIN_PX, WIDTH_PX, 3), PAPER, np.uint8)
    return np.concatenate([*rows, *_legend(names, maps), margin])


def coloured(classes: ClassMap) -> NDArray[np.uint8]:
    """A class map (H, W) in Pascal VOC's colours, at the size at which a cell shows it."""
    height, width = classes.shape
    scale = CELL_PX / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return palette()[cv2.resize(classes, size_wh, interpolation=cv2.INTER_NEAREST)]


def _classes_of(image: LabelledImage, classes: int) -> set[int]:
    try:
        return set(np.unique(image.label_map(classes)).tolist()) - {UNKNOWN}
    except AnnotationError:
        return set()


def _right(true: ClassMap, found: ClassMap) -> float:
    known = true != UNKNOWN
    return float((true == found)[known].mean()) if known.any() else 0.0


def _row(cells: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    margin = np.full((TITLE_PX + CELL_PX, MARGIN_PX, 3), PAPER, np.uint8)
    return np.concatenate([margin, *(part for one in cells for part in (one, margin))], axis=1)


def _legend(names: Sequence[str], maps: Sequence[ClassMap]) -> list[NDArray[np.uint8]]:
    """Lines of colours and names of the classes in the maps."""
    there = sorted({int(one) for classes in maps for one in np.unique(classes)})
    entries = [_entry("unknown" if one == UNKNOWN else names[one], one) for one in there]
    blank = np.full((TITLE_PX, ENTRY_PX, 3), PAPER, np.uint8)
    across = WIDTH_PX // ENTRY_PX
    entries += [blank] * (-len(entries) % across)
    rest = np.full((TITLE_PX, WIDTH_PX - across * ENTRY_PX, 3), PAPER, np.uint8)
    return [
        np.concatenate([*entries[first : first + across], rest], axis=1)
        for first in range(0, len(entries), across)
    ]


def _entry(name: str, number: int) -> NDArray[np.uint8]:
    colour = np.full((TITLE_PX, TITLE_PX, 3), palette()[number], np.uint8)
    return np.concatenate((colour, line(name, ENTRY_PX - TITLE_PX)), axis=1)
