"""Which image comes when: the same order for the same seed and epoch, from any place on."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """One image of one epoch."""

    epoch: int
    index: int
    turn: int  # how often the image was drawn before; each time it is augmented otherwise


class EpochSampler(Sampler[Draw]):
    """A pass over `length` images an epoch, this process's share of it.

    Shuffled, for training, an image is drawn as often as its weight says, every one once by
    default: one of weight 0.5 in every other epoch, one of weight 2 twice in each. All images of
    a weight had their turn before one of them has the next. Every process gets equally many draws:
    the last ones are left out where they do not divide. In order, for validation, none is left out:
    some processes get one more. A training that goes on within an epoch starts `skip` draws into
    it.
    """

    def __init__(
        self,
        length: int,
        *,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.rank, self.processes = rank, processes
        self.epoch = self.skip = 0
        self.by_weight: dict[float, list[int]] = defaultdict(list)
        for index, weight in enumerate([1.0] * length if weights is None else weights):
            self.by_weight[weight].append(index)
        if shuffle and self._draws_an_epoch() < processes:
            raise ValueError(f"{length} images cannot be shared by {processes} processes")

    def start_at(self, epoch: int, skip: int) -> None:
        """Begin `skip` draws into an epoch; later epochs are whole."""
        self.epoch, self.skip = epoch, skip

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.skip = epoch, 0

    def __len__(self) -> int:
        if self.shuffle:
            return self._draws_an_epoch() // self.processes
        return len(range(self.rank, self.length, self.processes))

    def __iter__(self) -> Iterator[Draw]:
        draws = self._shuffled() if self.shuffle else self._in_order()
        yield from draws[self.rank :: self.processes][: len(self)][self.skip :]

    def _in_order(self) -> list[Draw]:
        return [Draw(self.epoch, index, self.epoch) for index in range(self.length)]

    def _shuffled(self) -> list[Draw]:
        draws = sorted(
            Draw(self.epoch, index, turn)
            for weight, indices in self.by_weight.items()
            for index, turn in self._drawn(weight, indices)
        )
        return [draws[place] for place in _permutation(len(draws), self.seed + self.epoch)]

    def _drawn(self, weight: float, indices: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Index and turn of this epoch's part of an endless row of shuffled passes."""
        length, count = len(indices), _draws(weight, len(indices))
        first = self.epoch * count
        for turn in range(first // length, (first + count - 1) // length + 1):
            order = _permutation(length, hash((self.seed, turn)))
            start = turn * length  # of the pass, in the row
            for place in order[max(first - start, 0) : first + count - start]:
                yield indices[place], turn

    def _draws_an_epoch(self) -> int:
        return sum(_draws(weight, len(indices)) for weight, indices in self.by_weight.items())


def _draws(weight: float, length: int) -> int:
    """An epoch's, of images of a weight; the same in each, and rounded up: 2 epochs of weight 0.5
    leave out nothing."""
    return max(1, math.ceil(weight * length - 1e-6))  # 1.1 * 10 is a little more than 11


def _permutation(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(length, generator=generator).tolist()  # type: ignore[no-any-return]
