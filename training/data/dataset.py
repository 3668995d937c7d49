"""Images as training samples, each the same for the same seed and draw."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from training.data.images import BrokenImage
from training.data.sampler import Draw

MakeSample = Callable[[Any, int], Any]  # of an image and an epoch


class SampleDataset(Dataset[Any]):
    """Samples of `make(image, epoch)`, which draws from torch's global generator.

    An image that does not decode becomes its `BrokenImage`, which the collate functions leave
    out and name.
    """

    def __init__(self, images: Sequence[Any], make: MakeSample, *, seed: int = 0) -> None:
        self.images, self.make, self.seed = images, make, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw | int) -> Any:
        """A whole number is a draw of epoch 0."""
        epoch, index, turn = draw if isinstance(draw, Draw) else Draw(0, draw, 0)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(hash((self.seed, turn, index)))
            try:
                return self.make(self.images[index], epoch)
            except BrokenImage as broken:
                return broken
