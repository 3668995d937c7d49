"""YOLOv9 t, s, m, c and e (Wang et al. 2024, arXiv:2402.13616), with features for mask heads.

`layers` is numbered as in the published deploy models (`gelan-<variant>`), so that their checkpoint
keys `model.<layer>.<...>` map one to one, with and without the auxiliary branch.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.people.yolov9_auxiliary import auxiliary_branch
from peopleseg.networks.people.yolov9_blocks import Detect, RepBottleneck, RepConv
from peopleseg.networks.people.yolov9_layers import VARIANTS, deploy_layers
from peopleseg.pixels.geometry import INPUT_SIZE

STRIDE = 32  # of the deepest layers: sides are multiples of it


class YOLOv9Output(NamedTuple):
    features: Tensor  # [B, C, h, w], the FPN concat at stride 8 of what the network works on
    predictions: Tensor | list[Tensor]  # see `Detect`
    # In training only:
    levels: Sequence[Tensor] = ()  # what the detection head reads, [B, C, h, w] of each stride
    auxiliary: list[Tensor] | None = None  # raw maps of the auxiliary branch, where there is one


class YOLOv9(nn.Module):
    """A YOLOv9 model.

    Input [B, 3, H, W] RGB in [0, 1], H and W multiples of 32. Output: `YOLOv9Output`. At 640 x 640
    the predictions have 80^2 + 40^2 + 20^2 = 8400 anchors.

    canvas: pixels a side to which images of 640 are resized first, but in training; a smaller one
    costs less and sees small people worse. Predictions are in the pixels of the images all the
    same. auxiliary: have the branch that only training runs, under `auxiliary.<layer>`.
    class_width: least channels of the class branches; None for as many as published.
    """

    def __init__(
        self,
        variant: str,
        classes: int = 1,
        *,
        auxiliary: bool = False,
        class_width: int | None = None,
        canvas: int = INPUT_SIZE,
    ) -> None:
        super().__init__()
        if canvas <= 0 or canvas % STRIDE:
            raise ValueError(f"canvas is {canvas}; expected a multiple of {STRIDE} pixels")
        if variant not in VARIANTS:
            raise ValueError(f"YOLOv9 variant {variant!r} is not one of {', '.join(VARIANTS)}")
        self.variant = variant
        self.classes = classes
        self.class_width = class_width
        self.canvas = canvas
        branch, self.feature_layer, self.feature_channels = deploy_layers(variant)
        self.detect_sources = branch.detect_sources
        self.sources = [layer.sources for layer in branch.layers] + [branch.detect_sources]
        self.layers = nn.ModuleList([layer.module for layer in branch.layers])
        self.layers.append(Detect(classes, branch.detect_channels, class_width))
        self.detect.zoom = INPUT_SIZE / canvas
        self.auxiliary_sources: list[int | Sequence[int]] = []
        self.auxiliary = nn.ModuleList()
        if auxiliary:
            branch = auxiliary_branch(variant, first=len(self.layers))
            self.auxiliary_sources += [layer.sources for layer in branch.layers]
            self.auxiliary_sources.append(branch.detect_sources)
            self.auxiliary.extend([layer.module for layer in branch.layers])
            self.auxiliary.append(Detect(classes, branch.detect_channels, class_width))

    @property
    def detect(self) -> Detect:
        """The main detection head, the last of `layers`."""
        detect = self.layers[-1]
        assert isinstance(detect, Detect)
        return detect

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {
            "variant": self.variant,
            "classes": self.classes,
            "auxiliary": len(self.auxiliary) > 0,
            "class_width": self.class_width,
            "canvas": self.canvas,
        }

    def forward(self, images: Tensor) -> YOLOv9Output:
        outputs: list[Any] = []
        images = images if self.training else self.resized(images)
        run_layers(zip(self.sources, self.layers, strict=True), images, outputs)
        features, predictions = outputs[self.feature_layer], outputs[-1]
        if not self.training:
            return YOLOv9Output(features, predictions)
        levels = [outputs[source] for source in self.detect_sources]
        if not len(self.auxiliary):
            return YOLOv9Output(features, predictions, levels)
        run_layers(zip(self.auxiliary_sources, self.auxiliary, strict=True), images, outputs)
        return YOLOv9Output(features, predictions, levels, outputs[-1])

    def resized(self, images: Tensor) -> Tensor:
        """Images as large as the network works on them."""
        if self.canvas == INPUT_SIZE:
            return images
        size_hw = [side * self.canvas // INPUT_SIZE for side in images.shape[2:]]
        return F.interpolate(images, size=size_hw, mode="bilinear", align_corners=False)

    def features(self, images: Tensor) -> Tensor:
        """The features of `forward` alone, without the layers that only predictions need."""
        outputs: list[Any] = []
        layers = list(zip(self.sources, self.layers, strict=True))
        run_layers(layers[: self.feature_layer + 1], self.resized(images), outputs)
        return outputs[-1]  # type: ignore[no-any-return]

    def without_auxiliary(self) -> "YOLOv9":
        """A copy that has no auxiliary branch, the deploy model."""
        deploy = copy.deepcopy(self)
        deploy.auxiliary = nn.ModuleList()
        deploy.auxiliary_sources = []
        return deploy

    @torch.no_grad()
    def fuse(self) -> "YOLOv9":
        """Replace every RepConv by its single convolution, in place; evaluation mode only."""
        for module in self.modules():
            if isinstance(module, RepBottleneck) and isinstance(module.cv1, RepConv):
                module.cv1 = module.cv1.fused()
        return self


def run_layers(
    layers: Iterable[tuple[int | Sequence[int], nn.Module]], images: Tensor, outputs: list[Any]
) -> None:
    """Append the output of each layer to `outputs`, which the later ones read."""
    for sources, layer in layers:
        if isinstance(sources, int):
            outputs.append(layer(images if sources < 0 else outputs[sources]))
        else:
            outputs.append(layer([outputs[source] for source in sources]))
