"""From choices to the person of each prompt: box, score, keypoints and RLE."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.contract import POSTPROCESS_REFERRED
from peopleseg.systems.referring.response import keypoints_of, referred
from peopleseg.systems.step import Arrays, Step


class PostprocessReferred(Step):
    model = POSTPROCESS_REFERRED

    def compute(
        self,
        wanted: Collection[str],
        *,
        choices: NDArray[np.float32],
        people_boxes: NDArray[np.float32],
        people_rles: NDArray[np.object_],
        crops: NDArray[np.uint8],
        joints: NDArray[np.float32],
        letterbox: NDArray[np.float32],
    ) -> Arrays:
        box = Letterbox.from_array(letterbox)
        height, width = crops.shape[2:]
        keypoints = keypoints_of(joints, people_boxes, (height, width), box)
        size_hw = box.height, box.width
        return referred(choices, people_boxes, people_rles, keypoints, size_hw)._asdict()
