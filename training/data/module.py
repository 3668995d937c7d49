"""What the tasks train on: annotated images, loaded, augmented and batched."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import lightning
from torch.utils.data import DataLoader

from peopleseg.labels.coco import AnnotatedImage, require_people
from peopleseg.labels.coco_file import AnnotationError
from training.data.dataset import PeopleDataset
from training.data.images import DataError, report_skipped, usable_images
from training.data.sampler import EpochSampler
from training.data.transforms import Transform, training_transforms, whole_view


@dataclass(frozen=True)
class AnnotatedFolder:
    """Images and their people in COCO format."""

    images: Path
    annotations: Path
    weight: float = 1.0  # how often an epoch draws each image; 0.5: half of them, by turns
    everybody: bool = True  # is annotated; False: who is found elsewhere is not punished

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(
                f"the weight of {self.annotations} is {self.weight}; give a number above 0, or "
                "leave the data set out"
            )


@dataclass(frozen=True)
class LoaderSettings:
    batch_size: int = 8  # images, of each process
    workers: int = 2  # processes that load and augment, of each training process
    validation_batch_size: int = 8


@dataclass(frozen=True)
class AugmentationSettings:
    strength: Literal["none", "light", "heavy"] = "light"
    smallest_scale: float = 0.7  # of a view, against the whole image in the canvas
    largest_scale: float = 1.5


class PeopleData(lightning.LightningDataModule):
    """Training and validation images of one task.

    root: folder with train/, val/, person_train.json and person_val.json; `train` and `val` name
    other places. extra: more data sets to train on, each with its weight. limit: only the first so
    many training images, of all sets together. The same seed gives the same images in the same
    order, also after a resume.
    """

    def __init__(
        self,
        root: Path = Path("data/people"),
        train: AnnotatedFolder | None = None,
        val: AnnotatedFolder | None = None,
        extra: Sequence[AnnotatedFolder] = (),
        limit: int | None = None,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008
        resize: Literal["letterbox", "stretch"] = "letterbox",
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(loader)
        root = Path(root)
        self.train_folder = train or AnnotatedFolder(root / "train", root / "person_train.json")
        self.val_folder = val or AnnotatedFolder(root / "val", root / "person_val.json")
        self.extra, self.limit = extra, limit
        self.loader, self.augmentation, self.resize = loader, augmentation, resize
        self.seed = seed
        self.resume_at = (0, 0)  # epoch, batches of it that are done
        self.train_images: list[AnnotatedImage] = []
        self.val_images: list[AnnotatedImage] = []

    @abstractmethod
    def training_sample(self, image: AnnotatedImage, epoch: int) -> Any:
        """An augmented sample, by torch's global generator."""

    @abstractmethod
    def validation_sample(self, image: AnnotatedImage, epoch: int) -> Any:
        """The whole image on the canvas."""

    @staticmethod
    @abstractmethod
    def collate(samples: list[Any]) -> Any:
        """Training samples, or what broke in place of one, to a batch."""

    @staticmethod
    @abstractmethod
    def collate_validation(samples: list[Any]) -> Any:
        """The same for validation samples."""

    def usable(self, image: AnnotatedImage) -> bool:
        """Whether an image is of use for training."""
        return True

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            folders = (self.train_folder, *self.extra)
            images = [image for folder in folders for image in self._images(folder)]
            self.train_images = [p for p in images if self.usable(p)][: self.limit]
            if not self.train_images:
                raise DataError(f"{self.train_folder.annotations} has no image to train on")
            require_people(self.train_images, self.train_folder.annotations)
        if not self.val_images:
            self.val_images = self._images(self.val_folder)
            require_people(self.val_images, self.val_folder.annotations)

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = PeopleDataset(self.train_images, self.training_sample, seed=self.seed)
        weights = [image.weight for image in self.train_images]
        sampler = self._sampler(len(dataset), shuffle=True, weights=weights)
        epoch, batches = self.resume_at
        sampler.start_at(epoch, batches * self.loader.batch_size)
        return ResumableLoader(
            dataset,
            batch_size=self.loader.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.loader.batch_size,
            num_workers=self.loader.workers,
            persistent_workers=self.loader.workers > 0,
            collate_fn=self.collate,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        dataset = PeopleDataset(self.val_images, self.validation_sample)
        return DataLoader(
            dataset,
            batch_size=self.loader.validation_batch_size,
            sampler=self._sampler(len(dataset), shuffle=False),
            num_workers=self.loader.workers,
            collate_fn=self.collate_validation,
        )

    def state_dict(self) -> dict[str, Any]:
        """Where in the data the training is, so that a resumed one goes on just there."""
        assert self.trainer is not None
        batches = int(self.trainer.num_training_batches)
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total
        done = progress.processed
        return {"epoch": done // batches, "batch": done % batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.resume_at = (state_dict["epoch"], state_dict["batch"])

    def view(self, size: int) -> Transform:
        """The whole image on a square canvas, as in validation and serving."""
        return whole_view(size, self.resize)

    def augmented_view(self, size: int) -> Transform:
        settings = self.augmentation
        scales = (settings.smallest_scale, settings.largest_scale)
        return training_transforms(settings.strength, size, scales, self.resize)

    def _sampler(
        self, length: int, *, shuffle: bool, weights: Sequence[float] | None = None
    ) -> EpochSampler:
        """Of this process's share of the images; without a trainer, of all."""
        trainer = self.trainer
        return EpochSampler(
            length,
            weights=weights,
            seed=self.seed,
            shuffle=shuffle,
            rank=trainer.global_rank if trainer else 0,
            processes=trainer.world_size if trainer else 1,
        )

    def _images(self, folder: AnnotatedFolder) -> list[AnnotatedImage]:
        try:
            images, skipped = usable_images(Path(folder.annotations), Path(folder.images))
        except AnnotationError as error:
            raise DataError(f"{error}; see --data.root, --data.train and --data.val") from error
        report_skipped(skipped)
        return [replace(p, everybody=folder.everybody, weight=folder.weight) for p in images]


def _check(loader: LoaderSettings) -> None:
    """Raises DataError."""
    for name, least in (("batch_size", 1), ("workers", 0), ("validation_batch_size", 1)):
        if (value := getattr(loader, name)) < least:
            raise DataError(f"--data.loader.{name} is {value}, expected {least} or more")


class ResumableLoader(DataLoader[Any]):
    """A loader whose place in the data is `PeopleData`'s state, so that a training can go on
    within an epoch; the trainer asks for these two methods."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass
