"""Images for Mask R-CNN: everybody's box and mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.pixels.geometry import INPUT_SIZE
from training.data.detection import DetectionData, ValidationSample, validation_sample
from training.data.images import BrokenImage
from training.data.module import PeopleData
from training.data.samples import (
    SMALLEST_SEEN_PX,
    cut,
    split_broken,
    stacked_images,
    well_seen,
)
from training.data.scene import Scene, read_scene


class InstanceSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    boxes_xyxy: Tensor  # float32 (n, 4), pixels, within the image
    masks: Tensor  # uint8 (n, S, S) of 0 and 1


class InstanceBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    boxes_xyxy: list[Tensor]  # of each image, float32 (n, 4)
    masks: list[Tensor]  # of each image, uint8 (n, S, S)
    skipped: list[str]  # a line for each broken image


class MaskRCNNData(PeopleData):
    """Canvases of `size` pixels, as the detector's without mosaics; validation is at that size."""

    def __init__(self, *args: Any, size: int = INPUT_SIZE, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.size = size
        self.augment = self.augmented_view(size)
        self.whole = self.view(size)

    def training_sample(self, image: AnnotatedImage, epoch: int) -> InstanceSample:
        return instance_sample(self.augment(read_scene(image)))

    def validation_sample(self, image: AnnotatedImage, epoch: int) -> ValidationSample:
        return validation_sample(image, self.whole)

    @staticmethod
    def collate(samples: Sequence[InstanceSample | BrokenImage]) -> InstanceBatch:
        """B = 0 when every image is broken."""
        whole, skipped = split_broken(samples)
        boxes, masks = [s.boxes_xyxy for s in whole], [s.masks for s in whole]
        return InstanceBatch(stacked_images(whole), boxes, masks, skipped)

    collate_validation = staticmethod(DetectionData.collate_validation)


def instance_sample(scene: Scene) -> InstanceSample:
    """Everybody with a mask whom the scene shows well enough; all others are background."""
    masks, _ = scene.mask_arrays()
    boxes = scene.boxes.as_subclass(Tensor)
    seen = cut(boxes, scene.size_hw)
    chosen = well_seen(boxes, seen, SMALLEST_SEEN_PX) & scene.masked
    return InstanceSample(
        scene.image.as_subclass(Tensor), seen[chosen], torch.from_numpy(masks)[chosen[scene.masked]]
    )
