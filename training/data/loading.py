"""Samples to train and validate on, in an order from which a training can go on after a stop."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from torch.utils.data import DataLoader

from training.data.dataset import SampleDataset
from training.data.images import DataError
from training.data.sampler import EpochSampler


@dataclass(frozen=True)
class LoaderSettings:
    batch_size: int = 8  # images, of each process
    workers: int = 2  # processes that load and augment, of each training process
    validation_batch_size: int = 8


def check_weight(weight: float, annotations: Path) -> None:
    """Raises ValueError for what cannot say how often an epoch draws each image of a data set."""
    if not 0 < weight < math.inf:
        raise ValueError(
            f"the weight of {annotations} is {weight}; give a number above 0, or leave the data "
            "set out"
        )


class TrainingData(lightning.LightningDataModule):
    """Training and validation images of one task.

    `setup` fills train_images and val_images, of whatever kind the samples are made of; `weight` of
    the former says how often an epoch draws each. The same seed gives the same images in the
    same order, also after a resume.
    """

    def __init__(
        self,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(loader)
        self.loader, self.seed = loader, seed
        self.resume_at = (0, 0)  # epoch, batches of it that are done
        self.train_images: list[Any] = []
        self.val_images: list[Any] = []

    @abstractmethod
    def training_sample(self, image: Any, epoch: int) -> Any:
        """An augmented sample, by torch's global generator."""

    @abstractmethod
    def validation_sample(self, image: Any, epoch: int) -> Any:
        """The whole image on the canvas."""

    @staticmethod
    @abstractmethod
    def collate(samples: list[Any]) -> Any:
        """Training samples, or what broke in place of one, to a batch."""

    @staticmethod
    @abstractmethod
    def collate_validation(samples: list[Any]) -> Any:
        """The same for validation samples."""

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = SampleDataset(self.train_images, self.training_sample, seed=self.seed)
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
        dataset = SampleDataset(self.val_images, self.validation_sample)
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


def _check(loader: LoaderSettings) -> None:
    """Raises DataError."""
    for name, least in (("batch_size", 1), ("workers", 0), ("validation_batch_size", 1)):
        if (value := getattr(loader, name)) < least:
            raise DataError(f"--data.loader.{name} is {value}, expected {least} or more")


class ResumableLoader(DataLoader[Any]):
    """A loader whose place in the data is `TrainingData`'s state, so that a training can go on
    within an epoch; the trainer asks for these two methods."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass
