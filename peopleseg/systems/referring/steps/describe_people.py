"""Tell of everybody in the image what a text may say of them."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.contract import DESCRIBE_PEOPLE, TEXT
from peopleseg.systems.referring.describing import describe
from peopleseg.systems.referring.limits import check_prompts
from peopleseg.systems.referring.response import keypoints_of
from peopleseg.systems.step import Arrays, Step


class DescribePeople(Step):
    model = DESCRIBE_PEOPLE

    def compute(
        self,
        wanted: Collection[str],
        *,
        text: NDArray[np.object_],
        people_boxes: NDArray[np.float32],
        people_scores: NDArray[np.float32],
        crops: NDArray[np.uint8],
        joints: NDArray[np.float32],
        looks: NDArray[np.float32],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        check_prompts(TEXT.name, len(text))  # each takes memory here, and nobody has counted them
        box = Letterbox.from_array(letterbox)
        height, width = crops.shape[2:]
        keypoints = keypoints_of(joints, people_boxes, (height, width), box)
        known = looks[: len(people_boxes)]
        size_hw = box.height, box.width
        people = describe(people_boxes, people_scores, keypoints, known, size_hw)
        return {"people": np.repeat(people[None], len(text), axis=0)}
