"""What is told of the people of an image, as the served steps tell it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.networks.referring.pose import PersonPose
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.describing import describe
from peopleseg.systems.referring.response import keypoints_of
from peopleseg.systems.referring.steps.crop_people import CropPeople


@dataclass(frozen=True)
class PeopleReader:
    """By a pose network, which stays as it is."""

    pose: PersonPose

    @torch.inference_mode()
    def told(
        self,
        image_rgb: NDArray[np.uint8],
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """(N, D) of people in boxes (N, 4) of an image (H, W, 3). scores: (N,); None: 1 each."""
        height, width = image_rgb.shape[:2]
        letterbox = Letterbox.fit(width, height)
        crops = CropPeople(*self.pose.size_hw).compute(
            ("crops",),
            pixels=letterbox.apply(image_rgb).transpose(2, 0, 1)[None],
            people_boxes=boxes_xyxy,
            letterbox=letterbox.to_array()[None],
        )["crops"]
        read = self.pose.read(torch.from_numpy(crops).float() / 255)
        joints, looks = (one.numpy() for one in read)
        keypoints = keypoints_of(joints, boxes_xyxy, self.pose.size_hw, letterbox)
        if scores is None:
            scores = np.ones(len(boxes_xyxy), np.float32)
        told = describe(boxes_xyxy, scores, keypoints, looks, (height, width))
        return told[: len(boxes_xyxy)]
