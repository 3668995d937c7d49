"""Everybody in an image as the served networks find them: a chooser is asked among these."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import from_numpy
from torchvision.ops import box_iou

from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.referring.system import SYSTEM
from peopleseg.systems.wiring import serving_versions

LEAST_SCORE = 0.05  # as the referring system asks for uncertain people too
SAME = 0.5  # IoU from which on a box is that of an annotated person


class Everybody(NamedTuple):
    """The people of an image."""

    boxes_xyxy: NDArray[np.float32]  # (N, 4) image pixels
    scores: NDArray[np.float32]  # (N,)

    def place(self, box_xyxy: NDArray[np.float32]) -> int | None:
        """Which of them that box is of; None where nobody is found there."""
        if not len(self.scores):
            return None
        ious = box_iou(from_numpy(self.boxes_xyxy), from_numpy(box_xyxy)[None])[:, 0]
        return int(ious.argmax()) if ious.max() >= SAME else None


class PeopleFinder:
    """By the people system in one process, in the versions of the referring system's release where
    the repository has one."""

    def __init__(self, repository: Path) -> None:
        pinned = serving_versions(repository, SYSTEM)
        versions = {step: pinned[step] for step in PEOPLE.steps if step in pinned}
        self._pipeline = PeoplePipeline(repository, versions=versions, threads=1)

    def find(self, image_rgb: NDArray[np.uint8]) -> Everybody:
        """image_rgb: (H, W, 3)."""
        _, png = cv2.imencode(".png", image_rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        found = self._pipeline.segment(png.tobytes(), min_score=LEAST_SCORE)
        return Everybody(found.boxes, found.scores)
