"""Cut everybody out of the square, as the pose network reads people."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.repository.settings import COUNT
from peopleseg.systems.referring.contract import CROP_PEOPLE, CROPS
from peopleseg.systems.referring.crops import crop, crop_matrix
from peopleseg.systems.step import Arrays, Shape, Step


class CropPeople(Step):
    """height, width: of the crops, pixels; those that the pose network was trained on."""

    model = CROP_PEOPLE
    settings = {"height": COUNT, "width": COUNT}

    @classmethod
    def shapes(cls, settings: Mapping[str, Any], given: Mapping[str, Shape]) -> dict[str, Shape]:
        made = cls(**settings)
        return {CROPS.name: (-1, 3, *made.size_hw)}

    def __init__(self, height: int = 224, width: int = 160) -> None:
        self.size_hw = height, width

    def compute(
        self,
        wanted: Collection[str],
        *,
        pixels: NDArray[np.uint8],
        people_boxes: NDArray[np.float32],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        square = np.ascontiguousarray(pixels[0].transpose(1, 2, 0))
        boxes = Letterbox.from_array(letterbox).boxes_to_network(people_boxes)
        crops = np.zeros((max(1, len(boxes)), *self.size_hw, 3), np.uint8)
        for place, box in enumerate(boxes):
            crops[place] = crop(square, crop_matrix(box, self.size_hw), self.size_hw)
        return {"crops": np.ascontiguousarray(crops.transpose(0, 3, 1, 2))}
