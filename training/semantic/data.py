"""Labelled images for the semantic networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import LabelledImage, load_labelled, voc_split
from peopleseg.systems.semantic.contract import VOC_CLASSES
from training.data.images import BrokenImage, DataError, read_rgb
from training.data.loading import LoaderSettings, TrainingData, check_weight
from training.data.samples import split_broken, stacked_images
from training.semantic.views import SCALES, Labelled, Strength, view_of


@dataclass(frozen=True)
class LabelledFolder:
    """Images with their label maps: a folder of each, or a list of Pascal VOC as annotations.

    names: a text file of the names to take, one a line; None takes all.
    """

    images: Path
    annotations: Path
    names: Path | None = None
    weight: float = 1.0  # how often an epoch draws each image; 0.5: half of them, by turns

    def __post_init__(self) -> None:
        check_weight(self.weight, self.annotations)


@dataclass(frozen=True)
class AugmentationSettings:
    """How much a training image is changed; see training.semantic.views."""

    strength: Strength = "enhanced"
    smallest_scale: float = SCALES[0]  # of an enhanced view, against the whole image in the square
    largest_scale: float = SCALES[1]


@dataclass(frozen=True)
class TrainingImage:
    image: LabelledImage
    weight: float


class SemanticSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    labels: Tensor  # uint8 (S, S); UNKNOWN where no class is known


class SemanticBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    labels: Tensor  # uint8 (B, S, S)
    skipped: list[str]  # a line for each broken image


class SemanticData(TrainingData):
    """Views of `size` pixels a side; validation is on the whole image, as it is served.

    root: Pascal VOC's own folder (VOC2012, with JPEGImages, SegmentationClass and
    ImageSets/Segmentation), of which `train` and `val` are the lists train.txt and val.txt unless
    they name other places. extra: more images to train on. limit: only the first so many of all.
    leak_ok: images may be in both, as where all are trained on; the metrics then say nothing.
    classes: their names, the background first; the network's are the same.
    """

    def __init__(
        self,
        root: Path = Path("data/VOC2012"),
        train: LabelledFolder | None = None,
        val: LabelledFolder | None = None,
        extra: Sequence[LabelledFolder] = (),
        limit: int | None = None,
        leak_ok: bool = False,
        size: int = 512,
        classes: Sequence[str] = VOC_CLASSES,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008
        resize: Literal["letterbox", "stretch"] = "letterbox",
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        root = Path(root)
        self.train_folder, self.val_folder = (
            train or _split(root, "train"),
            val or _split(root, "val"),
        )
        self.extra, self.limit, self.leak_ok = extra, limit, leak_ok
        self.size, self.classes = size, tuple(classes)
        scales = (augmentation.smallest_scale, augmentation.largest_scale)
        self.augment = view_of(augmentation.strength, size, scales, resize)
        self.whole = view_of("none", size, resize=resize)

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            folders = (self.train_folder, *self.extra)
            images = [image for folder in folders for image in _images(folder)]
            self.train_images = images[: self.limit]
        if not self.val_images:
            self.val_images = [one.image for one in _images(self.val_folder)]
        if not self.leak_ok:
            self._refuse_leak()

    def _refuse_leak(self) -> None:
        """Raises DataError where images are in both."""
        learned = {one.image.name for one in self.train_images}
        both = sorted(learned.intersection(image.name for image in self.val_images))
        if both:
            raise DataError(
                f"{len(both)} images are trained and validated on ({both[0]} is one; Pascal VOC's "
                "trainval has all of val); name other images as --data.val, or say --data.leak_ok "
                "true, and the metrics say nothing about images that are new"
            )

    def training_sample(self, image: TrainingImage, epoch: int) -> SemanticSample:
        return _sample(self.augment(self.read(image.image)))

    def validation_sample(self, image: LabelledImage, epoch: int) -> SemanticSample:
        return _sample(self.whole(self.read(image)))

    def read(self, image: LabelledImage) -> Labelled:
        """The image and its labels. Raises BrokenImage."""
        return read_labelled(image, len(self.classes))

    @staticmethod
    def collate(samples: list[Any]) -> SemanticBatch:
        """B = 0 when every image is broken."""
        whole, skipped = split_broken(samples)
        labels = [one.labels for one in whole] or [torch.empty((0, 0), dtype=torch.uint8)]
        return SemanticBatch(stacked_images(whole), torch.stack(labels)[: len(whole)], skipped)

    collate_validation = collate


def read_labelled(image: LabelledImage, classes: int) -> Labelled:
    """An image and its label map, of 0 to classes - 1 and UNKNOWN. Raises BrokenImage."""
    try:
        return Labelled(read_rgb(image), image.label_map(classes))
    except AnnotationError as error:
        raise BrokenImage(str(error)) from error


def _sample(seen: Labelled) -> SemanticSample:
    planes = np.ascontiguousarray(seen.image_rgb.transpose(2, 0, 1))
    return SemanticSample(torch.from_numpy(planes), torch.from_numpy(seen.labels))


def _split(root: Path, split: str) -> LabelledFolder:
    return LabelledFolder(*voc_split(root, split))


def _images(folder: LabelledFolder) -> list[TrainingImage]:
    """Raises DataError."""
    try:
        found = load_labelled(Path(folder.annotations), Path(folder.images))
    except AnnotationError as error:
        raise DataError(f"{error}; see --data.root, --data.train and --data.val") from error
    if folder.names is not None:
        found = _named(found, Path(folder.names), folder.annotations)
    return [TrainingImage(image, folder.weight) for image in found]


def _named(images: Sequence[LabelledImage], file: Path, labels: Path) -> list[LabelledImage]:
    """The images that a file names. Raises DataError where it names others, or none."""
    try:
        names = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    by_name = {image.name: image for image in images}
    missing = [name for name in names if name not in by_name]
    if missing or not names:
        said = f"names {missing[0]}, of which {labels} has no labels" if names else "has no name"
        raise DataError(f"{file} {said}; expected names of label maps, one a line")
    return [by_name[name] for name in names]
