"""NanoDet (RangiLyu/nanodet, Apache-2.0): anchor-free, with distance distributions at each cell.

Generalized focal loss (arXiv:2006.04388): a score says how well the box fits, and each side is a
distribution over whole numbers of cells. At its own size its cells are YOLOv9's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.people.yolov9_blocks import anchor_points
from peopleseg.systems.people.selection import suppressed
from training.teachers.teacher import DensePredictions, Found, Teacher, TeacherError, TeacherGraph

STRIDES = (8, 16, 32)
MEAN_BGR, STD_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of values up to 255
PERSON = 0  # among its classes
Outputs = dict[str, NDArray[np.float32]]

LEAST_SCORE, MAX_IOU = 0.05, 0.6  # of people, as published


class NanoDet(Teacher):
    """A file whose outputs are, of every stride, scores [B, n, classes] and distances [B, n, 4 R].

    Raises TeacherError for another layout.
    """

    dense_size: int

    def __init__(self, graph: TeacherGraph, levels: Sequence[str] = ()) -> None:
        self._graph, self._levels = graph, tuple(levels)
        shapes = list(graph.inputs.values())
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3:
            raise TeacherError(f"{graph.path} reads {shapes}; a NanoDet reads one [B, 3, S, S]")
        self.dense_size = int(shapes[0][2])
        self._scores, self._distances = self._outputs()

    def people(self, images: Tensor) -> list[Found]:
        return [found for (found,) in self.objects(images, [PERSON])]

    def objects(self, images: Tensor, classes: Sequence[int]) -> list[list[Found]]:
        """What is found in each image of each of some of its classes, as `people`.

        Raises TeacherError for a class that it does not have.
        """
        size = (self.dense_size,) * 2
        outputs = self._graph(
            _normalised(F.interpolate(images, size=size, mode="bilinear", antialias=True))
        )
        known = outputs[self._scores[0]].shape[2]
        if max(classes) >= known:
            raise TeacherError(
                f"{self._graph.path} tells {known} classes apart, number {max(classes)} is asked "
                "of it; name a detector of COCO's 80"
            )
        zoom = images.shape[2] / self.dense_size
        boxes = decoded(self._bins(outputs), self.dense_size) * zoom
        scores = [self._scores_of(outputs, one) for one in classes]
        return [
            [_best(boxes[image], of_class[image]) for of_class in scores]
            for image in range(len(images))
        ]

    def dense(self, images: Tensor) -> DensePredictions:
        outputs = self._graph(_normalised(images))
        levels = (torch.from_numpy(outputs[name]) for name in self._levels)
        device = images.device
        return DensePredictions(
            self._scores_of(outputs, PERSON).to(device),
            self._bins(outputs).to(device),
            tuple(level.to(device) for level in levels),
        )

    def _scores_of(self, outputs: Outputs, one: int) -> Tensor:
        """[B, A] of a class."""
        rows = [outputs[name][..., one] for name in self._scores]
        return torch.from_numpy(np.concatenate(rows, axis=1))

    def _bins(self, outputs: Outputs) -> Tensor:
        """[B, A, 4, R] probabilities."""
        distances = np.concatenate([outputs[name] for name in self._distances], axis=1)
        return torch.from_numpy(distances).unflatten(2, (4, -1)).softmax(dim=3)

    def _outputs(self) -> tuple[list[str], list[str]]:
        """Names of the scores and of the distances, the finest stride first."""
        size = self.dense_size
        probe = self._graph(np.zeros((1, 3, size, size), dtype=np.float32))
        cells = [(size // stride) ** 2 for stride in STRIDES]
        of_stride = [
            {n: rows for n, rows in probe.items() if rows.ndim == 3 and rows.shape[1] == count}
            for count in cells
        ]
        if any(len(rows) != 2 for rows in of_stride):
            shapes = ", ".join(f"{name} {rows.shape}" for name, rows in probe.items())
            raise TeacherError(
                f"{self._graph.path} gives {shapes}; a NanoDet of {size} pixels gives scores and "
                f"distances of {', '.join(map(str, cells))} cells"
            )
        pairs = [self._scores_first(rows) for rows in of_stride]
        return [scores for scores, _ in pairs], [distances for _, distances in pairs]

    def _scores_first(self, rows: dict[str, NDArray[np.float32]]) -> Sequence[str]:
        """Scores are sigmoids; distances are logits, four times as many as bins."""
        names = sorted(rows, key=lambda name: not _is_probability(rows[name]))
        if [_is_probability(rows[name]) for name in names] != [True, False]:
            raise TeacherError(
                f"{self._graph.path}: of {' and '.join(names)} one must be scores in [0, 1], the "
                "other distances as logits"
            )
        return names


def _is_probability(values: NDArray[np.float32]) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def decoded(bins: Tensor, size: int) -> Tensor:
    """[B, A, 4, R] probabilities to boxes [B, A, 4] xyxy in pixels of a canvas of `size`."""
    maps = [torch.empty((1, 1, size // s, size // s), device=bins.device) for s in STRIDES]
    centres, strides = anchor_points(maps, STRIDES)  # in cells
    sides = (bins * torch.arange(bins.shape[3], device=bins.device)).sum(dim=3)
    corners = torch.cat((centres - sides[..., :2], centres + sides[..., 2:]), dim=2)
    return corners * strides[:, None]


def _normalised(images: Tensor) -> NDArray[np.float32]:
    mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (MEAN_BGR, STD_BGR))
    pixels: Any = ((images.float().flip(1) * 255 - mean) / std).cpu().numpy()
    return np.ascontiguousarray(pixels)


def _best(boxes: Tensor, scores: Tensor) -> Found:
    kept = suppressed(boxes.cpu().numpy(), scores.cpu().numpy(), LEAST_SCORE, MAX_IOU)
    best = torch.from_numpy(kept).to(boxes.device)
    return Found(boxes[best], scores[best])
