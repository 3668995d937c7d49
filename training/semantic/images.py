"""Images without labels, for trainings that learn from a teacher alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from peopleseg.labels.label_maps import LABEL_SUFFIX
from peopleseg.pixels.image_files import find_images
from peopleseg.pixels.images import Header
from training.data.images import DataError, read_rgb
from training.data.loading import LoaderSettings, TrainingData
from training.data.samples import split_broken, stacked_images
from training.semantic.data import AugmentationSettings
from training.semantic.views import Labelled, View, view_of


@dataclass(frozen=True)
class UnlabelledImage:
    path: Path
    weight: float = 1.0

    def drawn_upright(self, header: Header) -> bool:
        """There is nothing that was drawn on it as it is stored."""
        return True


class ImageSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB


class ImageBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    skipped: list[str]  # a line for each broken image


class UnlabelledData(TrainingData):
    """Views of `size` pixels a side of all images of some folders, at any depth.

    leave_out: folders of label maps, whose images are not taken: those that are measured on later.
    validation: every so many-th image is validated on instead.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        leave_out: Sequence[Path] = (),
        limit: int | None = None,
        validation: int = 20,
        size: int = 256,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        self.folders, self.leave_out = folders, leave_out
        self.limit, self.validation = limit, validation
        scales = (augmentation.smallest_scale, augmentation.largest_scale)
        self.augment = view_of(augmentation.strength, size, scales)
        self.whole = view_of("none", size)

    def setup(self, stage: str) -> None:
        if self.val_images:
            return
        labelled = {
            file.stem for folder in self.leave_out for file in Path(folder).glob(f"*{LABEL_SUFFIX}")
        }
        found = [path for folder in self.folders for path in _images(Path(folder))]
        images = [UnlabelledImage(one) for one in found if one.stem not in labelled][: self.limit]
        self.val_images = images[:: self.validation]
        self.train_images = [one for n, one in enumerate(images) if n % self.validation]
        if not self.train_images:
            raise DataError(f"{len(images)} images are too few to train and to validate on")

    def training_sample(self, image: UnlabelledImage, epoch: int) -> ImageSample:
        return _sample(image, self.augment)

    def validation_sample(self, image: UnlabelledImage, epoch: int) -> ImageSample:
        return _sample(image, self.whole)

    @staticmethod
    def collate(samples: list[Any]) -> ImageBatch:
        """B = 0 when every image is broken."""
        whole, skipped = split_broken(samples)
        return ImageBatch(stacked_images(whole), skipped)

    collate_validation = collate


def _images(folder: Path) -> list[Path]:
    """Raises DataError."""
    try:
        return find_images(folder, leave_out=folder)
    except FileNotFoundError as error:
        raise DataError(f"{folder}: {error}; see --data.folders") from error


def _sample(image: UnlabelledImage, view: View) -> ImageSample:
    image_rgb = read_rgb(image)
    nothing = np.zeros(image_rgb.shape[:2], np.uint8)
    seen = view(Labelled(image_rgb, nothing)).image_rgb
    return ImageSample(torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1))))
