"""The last step: from choices among everybody to the one person of each prompt."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import encode_rle, rles_as_json
from peopleseg.systems.referring.crops import TO_EDGE, crop_matrix, inverse, mapped


class Referred(NamedTuple):
    """The person of each of P prompts; where nobody is meant: score 0, zeros, an empty mask."""

    boxes: NDArray[np.float32]  # (P, 4) xyxy, pixels of the image sent
    scores: NDArray[np.float32]  # (P,)
    keypoints: NDArray[np.float32]  # (P, 17, 3) x, y in the image's pixels, visibility
    rles: NDArray[np.object_]  # (P,) COCO compressed RLE at the image's size, as JSON


def referred(
    choices: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    rles: NDArray[np.object_],
    keypoints: NDArray[np.float32],
    size_hw: tuple[int, int],
) -> Referred:
    """choices: (P, N or more); of everybody: boxes_xyxy (N, 4), rles (N,), keypoints (N, 17, 3)."""
    prompts, choices = len(choices), choices[:, : len(boxes_xyxy)]
    if not len(boxes_xyxy):
        nobody = rles_as_json([encode_rle(np.zeros(size_hw, np.uint8))] * prompts)
        none = np.zeros((prompts, COUNT, 3), np.float32)
        return Referred(none[:, :4, 0], none[:, 0, 0], none, nobody)
    best = choices.argmax(axis=1)
    return Referred(boxes_xyxy[best], choices.max(axis=1), keypoints[best], rles[best])


def keypoints_of(
    joints: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    crop_hw: tuple[int, int],
    letterbox: Letterbox,
) -> NDArray[np.float32]:
    """(N, 17, 3) in the image's pixels, as COCO counts them, of joints in crops of N people."""
    keypoints = joints[: len(boxes_xyxy)].copy()
    boxes = letterbox.boxes_to_network(boxes_xyxy)
    for own, box in zip(keypoints, boxes, strict=True):
        back = inverse(crop_matrix(box, crop_hw))
        own[:, :2] = mapped(own[:, :2].astype(np.float64) * crop_hw[::-1], back)
    keypoints[..., :2] = letterbox.points_to_image(keypoints[..., :2]) - TO_EDGE
    return keypoints
