"""MoveNet MultiPose (Google, Apache-2.0): at most six people, by box and keypoints."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.teachers.teacher import Found, Teacher, TeacherError, TeacherGraph

SIZE = 320  # pixels of its square; a multiple of 32
VALUES = 56  # of a person: 17 times y, x and score; then ymin, xmin, ymax, xmax and score
LEAST_SCORE = 0.05


class MoveNet(Teacher):
    """Raises TeacherError for a file of another layout."""

    def __init__(self, graph: TeacherGraph) -> None:
        shapes = list(graph.outputs.values())
        if len(shapes) != 1 or shapes[0][2:] != (VALUES,):
            raise TeacherError(f"{graph.path} gives {shapes}; a MoveNet gives one [B, 6, {VALUES}]")
        self._graph = graph

    def people(self, images: Tensor) -> list[Found]:
        resized = F.interpolate(images.float(), size=(SIZE, SIZE), mode="bilinear", antialias=True)
        pixels = (resized * 255).round().permute(0, 2, 3, 1).to(torch.int32).cpu().numpy()
        (found,) = self._graph(np.ascontiguousarray(pixels)).values()
        found = torch.from_numpy(found).to(images.device)
        boxes = found[..., [52, 51, 54, 53]] * images.shape[2]  # yxyx in parts of the side
        scores = found[..., 55]
        return [
            Found(own[score >= LEAST_SCORE], score[score >= LEAST_SCORE])
            for own, score in zip(boxes, scores, strict=True)
        ]
