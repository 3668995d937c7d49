"""From the class map of the square to that of the image sent."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.repository.settings import Setting
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.semantic.contract import (
    AREAS,
    CLASSES,
    NAMES,
    POSTPROCESS_CLASSES,
    VOC_CLASSES,
)
from peopleseg.systems.semantic.response import areas_of, in_image
from peopleseg.systems.step import Arrays, Step


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and 2 <= len(value) <= 255
        and all(isinstance(name, str) and name for name in value)
        and len(set(value)) == len(value)
    )


class PostprocessClasses(Step):
    """class_names: what the network's classes are called, by their numbers."""

    model = POSTPROCESS_CLASSES
    settings = {"class_names": Setting("2 to 255 names, each once", _are_names)}

    def __init__(self, class_names: Sequence[str] = VOC_CLASSES) -> None:
        self.class_names = tuple(class_names)

    def compute(
        self,
        wanted: Collection[str],
        *,
        class_map: NDArray[np.uint8],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        classes = in_image(class_map[0], Letterbox.from_array(letterbox))
        return {
            CLASSES.name: classes,
            AREAS.name: areas_of(classes, len(self.class_names)),
            NAMES.name: bytes_tensor(*(name.encode() for name in self.class_names)),
        }
