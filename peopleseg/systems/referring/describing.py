"""What is told of everybody in an image, for a network to choose one person among them."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.crops import TO_EDGE

FARTHEST = 2.0  # of a keypoint from its box, in the box's sides
MANY = 8.0  # people; a count of so many is 1
PLACE = 13  # numbers of a person before the keypoints
SCORE = 7  # which of them is the score


def length_of(looks: int) -> int:
    """D, the numbers that are told of a person of whose looks so many are known."""
    return PLACE + 3 * COUNT + looks


def describe(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    keypoints: NDArray[np.float32],
    looks: NDArray[np.float32],
    size_hw: tuple[int, int],
) -> NDArray[np.float32]:
    """(MAX_PEOPLE, D), zeros behind the last of the N people.

    Of each: 1, for there is somebody; the box, as middle and size in parts of the image, its
    bottom, the root of its share of the image; the score; how many people are to the left, to the
    right, larger, higher up and lower down, in parts of MANY; the keypoints in parts of the box,
    with their visibility; the looks. boxes_xyxy: (N, 4), keypoints: (N, 17, 3) as COCO counts them,
    pixels of an image of size_hw; scores: (N,); looks: (N, L).
    """
    people = np.zeros((MAX_PEOPLE, length_of(looks.shape[1])), np.float32)
    if not len(boxes_xyxy):
        return people
    height, width = size_hw
    boxes = boxes_xyxy / np.array([width, height, width, height], np.float32)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    middle, area = (boxes[:, :2] + boxes[:, 2:]) / 2, sides.prod(axis=1)
    x, y = middle.T
    counts = np.stack(
        [_fewer(x), _fewer(-x), _fewer(-area), _fewer(y), _fewer(-y)], axis=1
    ) / np.float32(MANY)
    there = np.ones((len(boxes), 1), np.float32)
    more = np.stack([boxes[:, 3], np.sqrt(area), scores], axis=1)
    in_box = keypoints.copy()
    size = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 1e-6)
    in_box[..., :2] = (keypoints[..., :2] + TO_EDGE - boxes_xyxy[:, None, :2]) / size[:, None]
    in_box[..., :2] = in_box[..., :2].clip(-FARTHEST, 1 + FARTHEST)
    told = (there, middle, sides, more, counts, in_box.reshape(len(boxes), -1), looks)
    people[: len(boxes)] = np.concatenate(told, axis=1)
    return people


def _fewer(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """How many of the others are less, of each."""
    return (values[None, :] < values[:, None]).sum(axis=1).astype(np.float32)
