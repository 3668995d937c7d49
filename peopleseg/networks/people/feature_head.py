"""A mask head on nothing but a detector's roi-aligned features.

A from-scratch implementation of the YOLOv9-feature head of PINTO0309/human-instance-segmentation
(MIT, July 2025): logits of background, target and non-target (other people) for every roi.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROI_FEATURE_SIZE = 28  # cells a side that the head reads of a roi
MASK_SIZE = 56  # pixels a side of its masks, twice as many
ROI_PADDING = 0.1  # of a box's side, added to it at each edge, as published
CLASSES = 3  # background, target, non-target

WIDE, MIDDLE, NARROW = 256, 128, 64  # channels


class RoiFeatureHead(nn.Module):
    """Decode features to masks at twice their size, by way of four times their size.

    `in_channels` are those of the detector's features: 1024 of YOLOv9-e at stride 8.
    """

    def __init__(self, in_channels: int = 1024) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.project = nn.Sequential(
            *_norm_relu(nn.Conv2d(in_channels, WIDE, 1)), ResidualBlock(WIDE), ResidualBlock(WIDE)
        )
        self.up_double = nn.Sequential(*_norm_relu(_doubling(WIDE, WIDE)), ResidualBlock(WIDE))
        self.up_fourfold = nn.Sequential(
            *_norm_relu(_doubling(WIDE, MIDDLE)),
            *_norm_relu(_conv3x3(MIDDLE, MIDDLE)),
            *_norm_relu(_conv3x3(MIDDLE, MIDDLE)),
            *_norm_relu(_conv3x3(MIDDLE, NARROW)),
        )
        self.fusion = nn.Conv2d(NARROW + WIDE, MIDDLE, 1)
        self.classifier = nn.Conv2d(MIDDLE, CLASSES, 1)
        self._initialise()

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {"in_channels": self.in_channels}

    def forward(self, roi_features: Tensor) -> Tensor:
        """roi_features [N, in_channels, h, w] to mask logits [N, 3, 2h, 2w]; h = w = 28 as used."""
        skip = self.up_double(self.project(roi_features))
        fine = self.up_fourfold(skip)
        fine = F.interpolate(fine, size=skip.shape[2:], mode="bilinear", align_corners=False)
        return self.classifier(self.fusion(torch.cat((fine, skip), dim=1)))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]


class ResidualBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, channels)
        self.norm1 = _layer_norm(channels)
        self.conv2 = _conv3x3(channels, channels)
        self.norm2 = _layer_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


def _layer_norm(channels: int) -> nn.GroupNorm:
    # Over the channels and pixels of each roi: batches of any size, one roi too, train alike.
    return nn.GroupNorm(1, channels)


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)


def _norm_relu(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [conv, _layer_norm(conv.out_channels), nn.ReLU()]
