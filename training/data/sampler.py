"""Which picture comes when: the same order for the same seed and epoch, from any place on."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """One picture of one epoch; both decide how it is augmented."""

    epoch: int
    index: int


class EpochSampler(Sampler[Draw]):
    """A pass over `length` pictures an epoch, this process's share of it.

    Shuffled, for training, every process gets equally many: the last ones are left out where they
    do not divide. In order, for validation, none is left out: some processes get one more. A
    training that goes on within an epoch starts `skip` draws into it.
    """

    def __init__(
        self, length: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, processes: int = 1
    ) -> None:
        if shuffle and length < processes:
            raise ValueError(f"{length} pictures cannot be shared by {processes} processes")
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.rank, self.processes = rank, processes
        self.epoch = self.skip = 0

    def start_at(self, epoch: int, skip: int) -> None:
        """Begin `skip` draws into an epoch; later epochs are whole."""
        self.epoch, self.skip = epoch, skip

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.skip = epoch, 0

    def __len__(self) -> int:
        if self.shuffle:
            return self.length // self.processes
        return len(range(self.rank, self.length, self.processes))

    def __iter__(self) -> Iterator[Draw]:
        order = list(range(self.length))
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(self.length, generator=generator).tolist()
        own = order[self.rank :: self.processes][: len(self)]
        yield from (Draw(self.epoch, index) for index in own[self.skip :])
