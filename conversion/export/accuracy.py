"""The metric that decides whether a quantised network may be served."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from conversion.export.runners import Runner

T = TypeVar("T")


class Accuracy(NamedTuple):
    """One metric of one network: what it is called, and what measures it, in [0, 1].

    What is the same for every artifact is computed at the first call.
    """

    metric: str
    measure: Callable[[Runner], float]


def with_progress(images: Sequence[T]) -> "tqdm[T]":
    """The images that are measured, one after the other."""
    # disable=None: no bar where nobody watches, in a log or a pipe
    return tqdm(images, desc="accuracy", unit="image", leave=False, disable=None)
