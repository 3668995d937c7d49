"""What an exported network is compared on: real images and random numbers, in several sizes."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from conversion.export.exportable import NUMPY_DTYPES, Exportable
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.shared.contract import PIXELS
from peopleseg.systems.step import Arrays

IMAGES_AT_ONCE = (1, 3)  # by turns
IMAGES, RANDOM = "images", "random"
_COLOURS = (PIXELS.name, "roi_rgb")  # from 0 to 255
_SEED = 0


class Case(NamedTuple):
    """One call of a network."""

    source: str  # IMAGES or RANDOM
    inputs: Arrays


class Inputs(Protocol):
    """Makes what a network reads of images."""

    @property
    def at_once(self) -> tuple[int, ...]:
        """How many images or rois one call has, by turns."""

    def cases(self, images: Sequence[Path]) -> Iterator[Case]:
        """The images as inputs of the network, in several batch sizes; each once at least."""

    def calibration(self, images: Sequence[Path]) -> list[Arrays]:
        """The inputs of each image alone: what people send."""


@dataclass(frozen=True)
class ImageInputs:
    """Of a network that reads whole images, in a square of `size` pixels."""

    size: int = INPUT_SIZE
    at_once: tuple[int, ...] = IMAGES_AT_ONCE

    def cases(self, images: Sequence[Path]) -> Iterator[Case]:
        remaining = at_least(sum(self.at_once), images)
        sizes = itertools.cycle(self.at_once)
        while remaining:
            size = next(sizes)
            batch, remaining = remaining[:size], remaining[size:]
            pixels = np.concatenate([prepare_file(path, self.size)[0] for path in batch])
            yield Case(IMAGES, {PIXELS.name: pixels})

    def calibration(self, images: Sequence[Path]) -> list[Arrays]:
        return [{PIXELS.name: prepare_file(p, self.size)[0]} for p in reading(images)]


def random_cases(exportable: Exportable, sizes: Sequence[int]) -> Iterator[Case]:
    """Random numbers for every input that is read, in batches of these sizes."""
    random = np.random.default_rng(_SEED)
    for size in sizes:
        inputs = {}
        for tensor in exportable.model.inputs:
            if tensor.name in exportable.reads:
                whole = replace(tensor, shape=exportable.input_shapes[tensor.name])
                inputs[tensor.name] = random_values(whole, size, random)
        yield Case(RANDOM, with_unread(inputs, exportable))


def with_unread(inputs: Arrays, exportable: Exportable) -> Arrays:
    """The inputs and, for those that the network does not read, zeros of one cell."""
    count = len(next(iter(inputs.values())))
    return {
        tensor.name: inputs[tensor.name] if tensor.name in inputs else unread_values(tensor, count)
        for tensor in exportable.model.inputs
    }


def random_values(tensor: Tensor, count: int, random: np.random.Generator) -> NDArray[Any]:
    """Of so many images or rois; the tensor has true lengths."""
    shape = (count, *tensor.shape)
    if tensor.dtype == "INT64":  # numbers of tokens, and which there are
        return random.integers(0, 2, shape)
    colours = tensor.name in _COLOURS
    values = random.uniform(0, 255, shape) if colours else random.normal(0, 3, shape)
    return values.astype(NUMPY_DTYPES[tensor.dtype])


def unread_values(tensor: Tensor, count: int) -> NDArray[Any]:
    """Zeros, one where any length goes."""
    return np.zeros((count, *map(abs, tensor.shape)), NUMPY_DTYPES[tensor.dtype])


def at_least(count: int, images: Sequence[Path]) -> list[Path]:
    """Fewer images are taken again."""
    return list(itertools.islice(itertools.cycle(images), max(count, len(images))))


def reading(images: Sequence[Path]) -> "tqdm[Path]":
    """The images that are made inputs, one after the other."""
    return tqdm(images, desc="inputs", unit="image", leave=False, disable=None)
