"""The people-segmentation UNet: one logit a pixel, above 0 is person.

A `segmentation_models_pytorch` UNet (Ronneberger et al. 2015) on an EfficientNet encoder (Tan and
Le 2019), as in the people-segmentation checkpoints of ternaus and PINTO0309.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.torchvision_ops import declare_missing_ops

declare_missing_ops()

import segmentation_models_pytorch as smp  # noqa: E402  (after declare_missing_ops)

ENCODERS = {variant: f"timm-efficientnet-{variant}" for variant in ("b0", "b1", "b3", "b7")}

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def people_unet(variant: str) -> smp.Unet:
    """The bare UNet with random weights: normalised RGB [B, 3, H, W] to person logits [B, 1, H, W].

    Raises ValueError for a variant other than b0, b1, b3 or b7.
    """
    if variant not in ENCODERS:
        raise ValueError(f"people UNet variant {variant!r} is not one of {', '.join(ENCODERS)}")
    return smp.Unet(ENCODERS[variant], encoder_weights=None, classes=1, activation=None)


class PeopleUNet(nn.Module):
    """The UNet with its normalisation and its working size inside.

    Input [B, 3, S, S] RGB in [0, 1]; output person logits [B, 1, S, S]. The network works on
    S / `shrink` pixels a side: a shrink of 2 costs a quarter of the operations and needs weights
    trained at that size.
    """

    def __init__(self, variant: str, shrink: int = 1) -> None:
        super().__init__()
        self.unet = people_unet(variant)
        self.variant = variant
        self.shrink = shrink
        self.normalise = Normalise()

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {"variant": self.variant, "shrink": self.shrink}

    def forward(self, images: Tensor) -> Tensor:
        if self.shrink == 1:
            return self.at_working_size(images)
        logits = self.at_working_size(F.avg_pool2d(images, self.shrink))
        return F.interpolate(
            logits, scale_factor=float(self.shrink), mode="bilinear", align_corners=False
        )

    def at_working_size(self, images: Tensor) -> Tensor:
        """The same for images that are S / `shrink` already, as in training."""
        return self.unet(self.normalise(images))  # type: ignore[no-any-return]


class Normalise(nn.Module):
    """RGB in [0, 1] to zero mean and unit deviation by the ImageNet statistics."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
