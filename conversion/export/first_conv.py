"""Move a mask head's leading 1x1 convolution of the features into the detector.

RoIAlign and bilinear resizing do the same linear thing to every channel, a 1x1 convolution does the
same linear thing to every cell: they commute, at every setting of RoIAlign and also where a roi
reaches over the edge. What does not is a bias, as RoIAlign keeps a constant only where each of its
samples counts; so the bias stays in the head. The features then travel with as many channels as the
convolution has outputs: 256 instead of YOLOv9-e's 1024.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from peopleseg.networks.feature_head import RoiFeatureHead
from peopleseg.networks.hierarchical import PersonMaskHead
from peopleseg.networks.lite_head import LiteMaskHead
from peopleseg.networks.yolov9 import YOLOv9, YOLOv9Output


class ProjectedDetector(nn.Module):
    """A detector whose features pass a 1x1 convolution."""

    def __init__(self, detector: YOLOv9, projection: nn.Conv2d) -> None:
        super().__init__()
        self.detector = detector
        self.projection = projection

    def forward(self, images: Tensor) -> YOLOv9Output:
        output = self.detector(images)
        return output._replace(features=self.projection(output.features))

    def features(self, images: Tensor) -> Tensor:
        return self.projection(self.detector.features(images))  # type: ignore[no-any-return]


class _ProjectedCombiner(nn.Module):
    """The rest of a `feature_combiner`: the last channels have been through their part of it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, combined: Tensor) -> Tensor:
        own = self.conv.in_channels
        return self.conv(combined[:, :own]) + combined[:, own:]


class _Bias(nn.Module):
    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def move_first_conv(head: nn.Module) -> tuple[nn.Conv2d, Any]:
    """The convolution for the detector, and a copy of the head that does without it.

    Raises ValueError for a head that reads no features.
    """
    rest: Any = copy.deepcopy(head).requires_grad_(False)
    if isinstance(rest, RoiFeatureHead):
        conv: Any = rest.project[0]
        rest.project[0] = _Bias(conv.bias)
        rest.in_channels = conv.out_channels
        return _conv(conv.weight), rest
    if isinstance(rest, PersonMaskHead) and rest.feature_channels:
        conv = rest.feature_combiner
        own = conv.in_channels - rest.feature_channels
        combiner: Any = _ProjectedCombiner(_conv(conv.weight[:, :own], conv.bias))
        rest.feature_combiner = combiner
        rest.feature_channels = conv.out_channels
        return _conv(conv.weight[:, own:]), rest
    if isinstance(rest, LiteMaskHead) and rest.feature_reducer is not None:
        conv = rest.feature_reducer[0]
        rest.feature_reducer[0] = nn.Identity()
        rest.feature_channels = conv.out_channels
        return _conv(conv.weight), rest
    raise ValueError("this network reads no features, so there is nothing to move")


def _conv(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None and bias is not None:
            conv.bias.copy_(bias)
    return conv.requires_grad_(False)
