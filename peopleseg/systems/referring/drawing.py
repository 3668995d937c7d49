"""Draw whom prompts mean over their image."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX
from peopleseg.pixels.lettering import Colour
from peopleseg.systems.people.drawing import colours, draw_people
from peopleseg.systems.people.person import Person
from peopleseg.systems.referring.found import Found

LEAST_VISIBILITY = 0.3  # of a joint that is drawn
LIMBS = [
    (INDEX[a], INDEX[b])
    for a, b in (
        *(("nose", "left_eye"), ("nose", "right_eye")),
        *(("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
        *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
        *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
        *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
        *(("left_hip", "left_knee"), ("left_knee", "left_ankle")),
        *(("right_hip", "right_knee"), ("right_knee", "right_ankle")),
    )
]


def draw_found(image_rgb: NDArray[np.uint8], found: Sequence[Found]) -> NDArray[np.uint8]:
    """A copy of an image with mask, box, score and skeleton of each, one colour a prompt.

    image_rgb: (H, W, 3) uint8 RGB, of the size that the server saw. Who was not found is left out.
    """
    none = np.empty((0, 0), np.uint8)
    people = [Person(one.box_xyxy, one.score, none, one.rle) for one in found if one.score > 0]
    image = draw_people(image_rgb, people)
    there = [one for one in found if one.score > 0]
    for one, colour in zip(there, colours(len(there)), strict=True):
        _draw_skeleton(image, one.keypoints, colour)
    return image


def _draw_skeleton(
    image: NDArray[np.uint8], keypoints: NDArray[np.float32], colour: Colour
) -> None:
    line_px = max(1, round(math.sqrt(image.shape[0] * image.shape[1]) / 250))
    places = [(round(x), round(y)) for x, y in keypoints[:, :2].tolist()]
    seen = keypoints[:, 2] >= LEAST_VISIBILITY
    for a, b in LIMBS:
        if seen[a] and seen[b]:
            cv2.line(image, places[a], places[b], (255, 255, 255), line_px + 2, cv2.LINE_AA)
            cv2.line(image, places[a], places[b], colour, line_px, cv2.LINE_AA)
    for place, there in zip(places, seen, strict=True):
        if there:
            cv2.circle(image, place, line_px + 2, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
            cv2.circle(image, place, line_px + 1, colour, cv2.FILLED, cv2.LINE_AA)
