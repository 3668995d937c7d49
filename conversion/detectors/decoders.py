"""The kinds of detector: the pixels that they take, and what their outputs mean.

A decoder finds its outputs by their shapes, and turns them into `predictions` of the tensor
contract within the exported graph.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from conversion.export.settings import ExportError
from peopleseg.pixels.geometry import INPUT_SIZE

Shape = tuple[int, ...]  # without the batch axis

STRIDES = (8, 16, 32)
BINS = (11, 8)  # of a NanoDet's distances: of NanoDet-g, and of NanoDet-m and NanoDet-Plus
CLASSES = (80, 1)  # that a NanoDet with a single output is known by: COCO's, or people alone


class Pixels(NamedTuple):
    """(RGB or BGR in 0 to 255, less mean) / std, by channel in their own order."""

    bgr: bool
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[float, float, float] = (1, 1, 1)


class Decoder(nn.Module, ABC):
    """Outputs of a file, in the order of `names`, to predictions [B, 5, anchors].

    Made of the outputs' shapes by name, the side of the file's input and the class to find. Raises
    ExportError when the shapes are not those of this kind.
    """

    pixels: ClassVar[Pixels]
    expected: ClassVar[str]  # in words, to be told to whoever brings something else
    names: list[str]
    classes: int

    def __init__(self, outputs: Mapping[str, Shape], size: int, person: int) -> None:
        super().__init__()
        self.size, self.person = size, person
        self.scale = INPUT_SIZE / size
        if not self._find(outputs):
            found = ", ".join(f"{name} {list(shape)}" for name, shape in outputs.items())
            raise ExportError(
                f"the outputs for one image of {size} x {size} are {found}; expected "
                f"{self.expected}: name another --decoder"
            )
        if not 0 <= person < self.classes:
            raise ExportError(
                f"there is no class {person} among the file's {self.classes}, which count from 0; "
                "name the person's with --person-class"
            )

    @abstractmethod
    def _find(self, outputs: Mapping[str, Shape]) -> bool:
        """Set `names` and `classes`; False when the outputs are of another kind."""

    def _set_grid(self, strides: tuple[int, ...], offset: float = 0.0) -> None:
        """Anchors stride after stride, row by row; offset: in cells, of where an anchor stands."""
        cells, steps = grid(self.size, strides)
        self.register_buffer("cells", torch.from_numpy(cells) + offset)  # [anchors, 2] x, y
        self.register_buffer("steps", torch.from_numpy(steps)[:, None])  # [anchors, 1] pixels


class YOLOv8(Decoder):
    """Ultralytics' YOLOv8 and others of its output: [4 + classes, anchors], cx, cy, w, h in pixels
    of the input and the scores."""

    pixels = Pixels(bgr=False, std=(255, 255, 255))
    expected = "one [4 + classes, anchors], as of YOLOv8 without its NMS"

    def _find(self, outputs: Mapping[str, Shape]) -> bool:
        self.names = list(outputs)
        (shape, *others) = outputs.values()
        if others or len(shape) != 2 or not 4 < shape[0] < shape[1]:
            return False
        self.classes = shape[0] - 4
        return True

    def forward(self, output: Tensor) -> Tensor:
        score = 4 + self.person
        return torch.cat((output[:, :4] * self.scale, output[:, score : score + 1]), dim=1)


class YOLOX(Decoder):
    """YOLOX (Ge et al. 2021, arXiv:2107.08430) as exported without decode_in_inference: [anchors,
    5 + classes], centres and logarithms of sides in cells, objectness and scores."""

    pixels = Pixels(bgr=True)
    expected = "one [anchors of strides 8, 16 and 32, 5 + classes], as of YOLOX"
    cells: Tensor
    steps: Tensor

    def _find(self, outputs: Mapping[str, Shape]) -> bool:
        self.names = list(outputs)
        (shape, *others) = outputs.values()
        if others or len(shape) != 2 or shape[0] != anchors(self.size, STRIDES) or shape[1] < 6:
            return False
        self.classes = shape[1] - 5
        self._set_grid(STRIDES)
        return True

    def forward(self, output: Tensor) -> Tensor:
        centres = (output[..., :2] + self.cells) * self.steps
        sides = output[..., 2:4].exp() * self.steps
        score = 5 + self.person
        scores = output[..., 4:5] * output[..., score : score + 1]
        return torch.cat((centres * self.scale, sides * self.scale, scores), dim=2).transpose(1, 2)


class NanoDet(Decoder):
    """NanoDet and NanoDet-Plus (RangiLyu/nanodet, Apache-2.0): scores, and the distribution of each
    side's distance over bins (Li et al. 2020, arXiv:2006.04388), in strides.

    They come as one tensor [anchors, classes + 4 bins], or for each stride as [n, classes] and
    [n, 4 bins]. An anchor stands in the middle of its cell; NanoDet-Plus', of four strides, in its
    corner.
    """

    # ImageNet's, of blue, green and red
    pixels = Pixels(bgr=True, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
    expected = (
        "one [anchors, classes + 44 or 32] of 80 classes or 1, or [n, classes] and [n, 44 or 32] "
        "for each of the strides 8, 16, 32 (and 64), as of NanoDet"
    )
    cells: Tensor
    steps: Tensor
    distances: Tensor  # [bins], in strides

    def _find(self, outputs: Mapping[str, Shape]) -> bool:
        if any(len(shape) != 2 for shape in outputs.values()):
            return False
        for strides, offset in ((STRIDES, 0.5), ((*STRIDES, 64), 0.0)):
            lengths = [anchors(self.size, (stride,)) for stride in strides]
            if self._find_joint(outputs, sum(lengths)) or self._find_pairs(outputs, lengths):
                self._set_grid(strides, offset)
                self.register_buffer("distances", torch.arange(self.bins, dtype=torch.float32))
                return True
        return False

    def _find_joint(self, outputs: Mapping[str, Shape], length: int) -> bool:
        widths = {classes + 4 * bins: (classes, bins) for bins in BINS for classes in CLASSES}
        (shape, *others) = outputs.values()
        if others or shape[0] != length or shape[1] not in widths:
            return False
        self.names, self.joint = list(outputs), True
        self.classes, self.bins = widths[shape[1]]
        return True

    def _find_pairs(self, outputs: Mapping[str, Shape], lengths: list[int]) -> bool:
        """`names`: the scores of all strides, then the distances of all."""
        in_order = [name for n in lengths for name, shape in outputs.items() if shape[0] == n]
        for bins in BINS:
            distances = [name for name in in_order if outputs[name][1] == 4 * bins]
            scores = [name for name in in_order if name not in distances]
            each = [[outputs[name][0] for name in names] for names in (scores, distances)]
            if each == [lengths, lengths] and len(outputs) == len(in_order):
                self.names, self.joint = [*scores, *distances], False
                self.classes, self.bins = outputs[scores[0]][1], bins
                return True
        return False

    def forward(self, *outputs: Tensor) -> Tensor:
        if self.joint:
            outputs = outputs[0].split((self.classes, 4 * self.bins), dim=2)
        half, person = len(outputs) // 2, slice(self.person, self.person + 1)
        scores = torch.cat([one[..., person] for one in outputs[:half]], dim=1)
        bins = torch.cat(outputs[half:], dim=1).unflatten(2, (4, self.bins))
        # a product and a sum: ONNX Runtime takes three times as long for so narrow a MatMul
        sides = (bins.softmax(dim=3) * self.distances).sum(dim=3) * self.steps
        anchors = self.cells * self.steps
        low, high = anchors - sides[..., :2], anchors + sides[..., 2:]  # left, top; right, bottom
        boxes = torch.cat(((low + high) / 2, high - low), dim=2) * self.scale
        return torch.cat((boxes, scores), dim=2).transpose(1, 2)


DECODERS: dict[str, type[Decoder]] = {"nanodet": NanoDet, "yolox": YOLOX, "yolov8": YOLOv8}


def anchors(size: int, strides: tuple[int, ...]) -> int:
    """How many cells there are over a square of `size` pixels."""
    return sum(math.ceil(size / stride) ** 2 for stride in strides)


def grid(size: int, strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Of every anchor its cell (x, y), counted from 0, and its stride; float32."""
    cells, steps = [], []
    for stride in strides:
        side = np.arange(math.ceil(size / stride), dtype=np.float32)
        cells.append(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
        steps.append(np.full(len(cells[-1]), stride, dtype=np.float32))
    return np.concatenate(cells), np.concatenate(steps)
