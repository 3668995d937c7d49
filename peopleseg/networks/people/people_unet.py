"""The people-segmentation UNet: one logit a pixel, above 0 is person.

As published, a `segmentation_models_pytorch` UNet (Ronneberger et al. 2015) on an EfficientNet
encoder (Tan and Le 2019), as in the people-segmentation checkpoints of ternaus and PINTO0309; or a
narrow one for CPUs.
"""

from collections.abc import Sequence
from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.normalise import Normalise
from peopleseg.networks.people.lite_people_unet import LitePeopleUNet
from peopleseg.networks.people.narrow_people_unet import NarrowPeopleUNet
from peopleseg.networks.small_encoders import ENCODERS as SMALL_ENCODERS
from peopleseg.networks.small_encoders import statistics

ENCODERS = {variant: f"timm-efficientnet-{variant}" for variant in ("b0", "b1", "b3", "b7")}
NARROW = tuple(SMALL_ENCODERS)  # for CPUs, see `NarrowPeopleUNet`
LITE = "lite"  # for CPUs, on a detector's first layers, see `LitePeopleUNet`
VARIANTS = (*ENCODERS, *NARROW, LITE)


def people_unet(variant: str) -> Any:
    """The bare UNet with random weights: normalised RGB [B, 3, H, W] to person logits [B, 1, H, W].

    Raises ValueError for a variant that is none of VARIANTS.
    """
    if variant in NARROW:
        return NarrowPeopleUNet(variant)
    if variant == LITE:
        return LitePeopleUNet()
    if variant not in ENCODERS:
        raise ValueError(f"people UNet variant {variant!r} is not one of {', '.join(VARIANTS)}")
    return smp.Unet(ENCODERS[variant], encoder_weights=None, classes=1, activation=None)


class PeopleUNet(nn.Module):
    """The UNet with its normalisation and its working size inside.

    Input [B, 3, S, S] RGB in [0, 1]; output person logits [B, 1, S, S]. The network works on
    S / `shrink` pixels a side: a shrink of 2 costs a quarter of the operations and needs weights
    trained at that size. `variant` is one of VARIANTS.
    """

    def __init__(self, variant: str, shrink: int = 1) -> None:
        super().__init__()
        self.unet = people_unet(variant)
        self.variant = variant
        self.shrink = shrink
        self.normalise = _normalisation(variant)

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {"variant": self.variant, "shrink": self.shrink}

    @property
    def encoder_stages(self) -> Sequence[nn.Module]:
        """The encoder's parts, shallow to deep."""
        if self.variant == LITE:
            return list(self.unet.layers)
        if self.variant in NARROW:
            return self.unet.encoder_stages  # type: ignore[no-any-return]
        encoder = self.unet.encoder
        return (nn.ModuleList([encoder.conv_stem, encoder.bn1]), *encoder.blocks)

    @property
    def unread(self) -> Sequence[nn.Module]:
        """Parts that published checkpoints have, but the UNet does not read: the encoder's end."""
        if self.variant not in ENCODERS:
            return ()
        encoder = self.unet.encoder
        return (encoder.conv_head, encoder.bn2)

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


def _normalisation(variant: str) -> nn.Module:
    if variant == LITE:  # the detector's layers read RGB in [0, 1]
        return nn.Identity()
    return Normalise(*statistics(variant)) if variant in NARROW else Normalise()
