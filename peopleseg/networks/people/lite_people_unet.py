"""A people UNet for CPUs: a narrow decoder on the first half of YOLOv9-t.

The encoder is the detector's up to its features at stride 8 (Wang et al. 2024, arXiv:2402.13616),
which can start from a trained detector's weights; the decoder is a UNet's (Ronneberger et al. 2015,
arXiv:1505.04597) to half the image's size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from peopleseg.networks.people.yolov9 import YOLOv9, run_layers
from peopleseg.networks.people.yolov9_blocks import Conv
from peopleseg.networks.people.yolov9_layers import deploy_layers
from peopleseg.networks.resizing import doubled

DETECTOR = "t"  # variant whose layers are the encoder
SKIP_LAYERS = (2, 0)  # at strides 4 and 2
SKIP_CHANNELS = (32, 16)
WIDTHS = (64, 32, 16)  # of the decoder at strides 8, 4 and 2


class LitePeopleUNet(nn.Module):
    """RGB in [0, 1], [B, 3, H, W], to person logits [B, 1, H, W]; H and W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        branch, feature_layer, channels = deploy_layers(DETECTOR)
        encoder = branch.layers[: feature_layer + 1]
        self.sources = [layer.sources for layer in encoder]
        self.layers = nn.ModuleList([layer.module for layer in encoder])
        self.context = _two_convs(channels, WIDTHS[0])
        below = zip(WIDTHS[:-1], SKIP_CHANNELS, strict=True)
        self.decoder = nn.ModuleList(
            _two_convs(deep + skip, width)
            for (deep, skip), width in zip(below, WIDTHS[1:], strict=True)
        )
        self.classifier = nn.Conv2d(WIDTHS[-1], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        outputs: list[Any] = []
        run_layers(zip(self.sources, self.layers, strict=True), images, outputs)
        x = self.context(outputs[-1])
        for layer, decode in zip(SKIP_LAYERS, self.decoder, strict=True):
            x = decode(torch.cat((doubled(x), outputs[layer]), dim=1))
        return doubled(self.classifier(x))

    def start_from_detector(self, detector: YOLOv9) -> None:
        """Take the encoder's weights of a YOLOv9-t. Raises ValueError for another variant."""
        if detector.variant != DETECTOR:
            raise ValueError(
                f"the encoder is YOLOv9-{DETECTOR}'s, the detector given YOLOv9-{detector.variant}"
            )
        encoder = nn.ModuleList(list(detector.layers)[: len(self.layers)])
        self.layers.load_state_dict(encoder.state_dict())


def _two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(Conv(in_channels, out_channels, 3), Conv(out_channels, out_channels, 3))
