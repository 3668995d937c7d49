"""Images for the detector: mosaics, copy-paste, and the whole image for validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.pixels.geometry import INPUT_SIZE
from training.data.colour import COLOURS
from training.data.images import BrokenImage, DataError
from training.data.module import PeopleData
from training.data.mosaic import copy_paste, mosaic
from training.data.samples import (
    DetectionBatch,
    DetectionSample,
    collate_detection,
    detection_sample,
)
from training.data.scene import read_scene
from training.data.transforms import Transform, whole_view

declare_missing_ops()

from torchvision.transforms import v2  # noqa: E402  (after declare_missing_ops)

ValidationSample = tuple[AnnotatedImage, DetectionSample | BrokenImage]


class DetectionValidationBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, 640, 640) RGB
    image_ids: list[int]  # of each image
    skipped: list[str]


@dataclass(frozen=True)
class MixingSettings:
    """How often other images are mixed into one."""

    mosaic: float = 1.0
    copy_paste: float = 0.0
    last_epochs_without: int = 15  # of the training: whole images only


class DetectionData(PeopleData):
    """Training canvases of `size` pixels; validation is at the size that is served."""

    def __init__(
        self,
        *args: Any,
        size: int = INPUT_SIZE,
        mixing: MixingSettings = MixingSettings(),  # noqa: B008  (frozen)
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.size, self.mixing = size, mixing
        self.augment = self.augmented_view(size)
        self.finish_mosaic = v2.Compose(
            [v2.RandomHorizontalFlip(0.5), COLOURS[self.augmentation.strength]()]
        )

    def setup(self, stage: str) -> None:
        if not self.val_folder.everybody:
            raise DataError(
                f"{self.val_folder.annotations} has not everybody, and box_ap counts who is found "
                "and not annotated as wrong; name another --data.val"
            )
        super().setup(stage)

    def training_sample(self, image: AnnotatedImage, epoch: int) -> DetectionSample:
        max_epochs = self.trainer.max_epochs if self.trainer else None
        mixed = max_epochs is None or epoch < max_epochs - self.mixing.last_epochs_without
        if mixed and torch.rand(()) < self.mixing.mosaic:
            scenes = [read_scene(p, with_masks=False) for p in (image, *self._others(3))]
            return detection_sample(self.finish_mosaic(mosaic(scenes, self.size)))
        pastes = mixed and bool(torch.rand(()) < self.mixing.copy_paste)
        scene = self.augment(read_scene(image, with_masks=pastes))
        if pastes:
            scene = copy_paste(scene, self.augment(read_scene(*self._others(1))))
        return detection_sample(scene)

    def validation_sample(self, image: AnnotatedImage, epoch: int) -> ValidationSample:
        return validation_sample(image, whole_view(INPUT_SIZE))

    collate = staticmethod(collate_detection)

    @staticmethod
    def collate_validation(
        samples: Sequence[ValidationSample],
    ) -> DetectionValidationBatch:
        batch: DetectionBatch = collate_detection([sample for _, sample in samples])
        whole = [image.id for image, s in samples if not isinstance(s, BrokenImage)]
        return DetectionValidationBatch(batch.images, whole, batch.skipped)

    def _others(self, count: int) -> list[AnnotatedImage]:
        chosen = torch.multinomial(self._weights, count, replacement=True)
        return [self.train_images[index] for index in chosen]

    @cached_property
    def _weights(self) -> Tensor:
        return torch.tensor([image.weight for image in self.train_images])


def validation_sample(image: AnnotatedImage, view: Transform) -> ValidationSample:
    """An image with its boxes in a view, or with what broke."""
    try:
        return image, detection_sample(view(read_scene(image, with_masks=False)))
    except BrokenImage as broken:
        return image, broken
