"""Two images of one main person each side by side, so that an expression has somebody to choose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.pixels.geometry import PAD_VALUE
from peopleseg.pixels.masks import encode_rle
from training.referring.expressions.people import Everybody


@dataclass(frozen=True)
class MainPerson:
    """An image of which one person is annotated."""

    image: AnnotatedImage
    entry: dict[str, Any]  # of the annotation, in its file
    everybody: Everybody  # this person

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.image.height, self.image.width


Pair = tuple[MainPerson, MainPerson]  # left and right


def pairs(people: Sequence[MainPerson], seed: int) -> list[Pair]:
    """Each person beside two random others: once on the left, once on the right."""
    order = Random(seed).sample(list(people), len(people))
    return list(zip(order, order[1:] + order[:1], strict=True)) if len(order) > 1 else []


def joined(images_rgb: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images (h, w, 3) from left to right with their tops in line, grey below the lower ones."""
    height = max(len(image) for image in images_rgb)
    padding = [((0, height - len(image)), (0, 0), (0, 0)) for image in images_rgb]
    filled = [
        np.pad(image, pad, constant_values=PAD_VALUE)
        for image, pad in zip(images_rgb, padding, strict=True)
    ]
    return np.concatenate(filled, axis=1)


def image_entry(pair: Pair) -> dict[str, Any]:
    """As a file of references describes the image of a pair."""
    listed = [_listed(one.image) for one in pair]
    return {
        "id": [one.image.id for one in pair],
        "file_name": listed[0]["file_name"],
        "width": sum(one["width"] for one in listed),
        "height": max(one["height"] for one in listed),
        "side_by_side": listed,
    }


def everybody_in(pair: Pair) -> Everybody:
    """The two people, where they are in the image of the pair."""
    size = image_entry(pair)
    moved = (replace(_person(one), box_xyxy=_moved(one, pair)) for one in pair)
    return Everybody((size["height"], size["width"]), tuple(moved), complete=False)


def person_entry(pair: Pair, index: int) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    """The annotation of one of them in the image of the pair, and the mask there."""
    one, size = pair[index], image_entry(pair)
    x1, y1, x2, y2 = _moved(one, pair)
    entry = {**one.entry, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    (annotation,) = one.image.people
    if not annotation.masked:
        return entry, None
    mask = np.zeros((size["height"], size["width"]), np.uint8)
    left = pair[0].image.width if index else 0
    height, width = one.size_hw
    mask[:height, left : left + width] = annotation.mask(height, width)
    return {**entry, "segmentation": encode_rle(mask)}, mask


def _person(one: MainPerson) -> Any:
    (person,) = one.everybody.people
    return person


def _moved(one: MainPerson, pair: Pair) -> tuple[float, float, float, float]:
    left = pair[0].image.width if one is pair[1] else 0
    x1, y1, x2, y2 = _person(one).box_xyxy
    return x1 + left, y1, x2 + left, y2


def _listed(image: AnnotatedImage) -> dict[str, Any]:
    return {"file_name": image.path.name, "width": image.width, "height": image.height}
