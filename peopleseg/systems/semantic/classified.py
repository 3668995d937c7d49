"""A response of the semantic system, as callers of the client and of the pipeline see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.semantic.contract import AREAS, CLASSES, CONFIDENCE, NAMES, PALETTE_PNG


@dataclass(frozen=True, eq=False)
class Classified:
    """The class of every pixel of the image that was sent. Arrays are read-only."""

    classes: NDArray[np.uint8]  # (H, W) numbers of classes
    names: tuple[str, ...]  # by number; the first is the background
    areas: dict[str, float]  # share of the image of each class, by its name; 0 for one not there
    confidence: NDArray[np.uint8] | None  # (H, W) probability x 255; None where not asked for
    palette_png: bytes | None  # `classes` as a PNG in Pascal VOC's colours; None as well


def classified(response: Mapping[str, Any]) -> Classified:
    """Of a response's tensors; None for CONFIDENCE or PALETTE_PNG that were not asked for."""
    names, png = names_of(response[NAMES.name]), response[PALETTE_PNG.name]
    return Classified(
        response[CLASSES.name],
        names,
        dict(zip(names, response[AREAS.name].tolist(), strict=True)),
        response[CONFIDENCE.name],
        None if png is None else png.item(),
    )


def names_of(tensor: NDArray[np.object_]) -> tuple[str, ...]:
    """What the classes are called, by number, of the tensor `names`."""
    return tuple(name.decode() for name in tensor.tolist())
