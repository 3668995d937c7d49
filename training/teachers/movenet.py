"""MoveNet MultiPose (Google, Apache-2.0): at most six people, by box and keypoints."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from peopleseg.labels.keypoints import COUNT
from training.teachers.teacher import Found, Teacher, TeacherError, TeacherGraph

SIZE = 320  # pixels of its square; a multiple of 32
VALUES, SCORE = (
    56,
    55,
)  # of a person: 17 times y, x and score; then ymin, xmin, ymax, xmax and score
LEAST_SCORE = 0.05


class Poses(NamedTuple):
    """Of n people in an image, in pixels from its outer edge."""

    boxes_xyxy: Tensor  # float32 [n, 4]
    scores: Tensor  # float32 [n] in [0, 1]
    keypoints: Tensor  # float32 [n, 17, 3]: x, y and score in [0, 1], of COCO's


class MoveNet(Teacher):
    """Raises TeacherError for a file of another layout."""

    def __init__(self, graph: TeacherGraph) -> None:
        shapes = list(graph.outputs.values())
        if len(shapes) != 1 or shapes[0][2:] != (VALUES,):
            raise TeacherError(f"{graph.path} gives {shapes}; a MoveNet gives one [B, 6, {VALUES}]")
        self._graph = graph

    def people(self, images: Tensor) -> list[Found]:
        return [Found(own.boxes_xyxy, own.scores) for own in self.poses(images)]

    def poses(self, images: Tensor) -> list[Poses]:
        """Everybody in each image, as `people`, with keypoints. images: [B, 3, S, S] in [0, 1]."""
        side = images.shape[2]
        resized = F.interpolate(images.float(), size=(SIZE, SIZE), mode="bilinear", antialias=True)
        pixels = (resized * 255).round().permute(0, 2, 3, 1).to(torch.int32).cpu().numpy()
        (found,) = self._graph(np.ascontiguousarray(pixels)).values()
        return [_poses(own[own[:, SCORE] >= LEAST_SCORE], side) for own in found]


def _poses(rows: NDArray[np.float32], side: int) -> Poses:
    """Of n people, rows of VALUES; what is said of places is y before x, in parts of the side."""
    people = torch.from_numpy(rows)
    keypoints = people[:, : 3 * COUNT].unflatten(1, (COUNT, 3))[..., [1, 0, 2]]
    keypoints = keypoints * keypoints.new_tensor((side, side, 1))
    return Poses(people[:, [52, 51, 54, 53]] * side, people[:, SCORE], keypoints)
