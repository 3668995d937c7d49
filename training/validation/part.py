"""What a system brings to have its networks measured: `PART` in training/validation/NAME/part.py.

`peopleseg validate`, `peopleseg average-weights` and what TensorBoard shows go by these parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.errors import PeoplesegError
from peopleseg.networks.checkpoint import Loaded
from training.data.images import Skipped

if TYPE_CHECKING:
    from training.validation.command import Options

Picture = NDArray[np.uint8]  # (H, W, 3) RGB


class Unmeasurable(PeoplesegError, ValueError):
    """A network, or all images, that cannot be measured. The message says why."""


@dataclass(frozen=True)
class Measured:
    """The metrics of one network. behind: what they come from, for the part's own pages."""

    metrics: Mapping[str, float]
    behind: Any = None


@dataclass(frozen=True)
class Row:
    """One measured checkpoint."""

    checkpoint: str
    family: str
    epoch: int | None  # trained epochs, where the checkpoint says
    metrics: Mapping[str, float]  # as in `Measured`
    behind: Any = None  # what they come from, as well
    seen: int = 0  # of the images it was trained on


class Part(ABC):
    """How one system's networks are measured on its annotated images, which have a `path`."""

    families: tuple[str, ...]  # of the networks
    metrics: tuple[str, ...]  # shown in a table, in its order; all are better when higher
    annotations: str  # what the images are annotated with, in words
    own_options: tuple[str, ...] = ()  # of `validate`, that no other part reads

    @abstractmethod
    def reads(self, annotations: Path) -> bool:
        """Whether a file or folder looks like this part's annotations."""

    def require(self, family: str, annotations: Path) -> None:
        """Raises Unmeasurable for a network that other annotations are for."""
        if family not in self.families:
            raise Unmeasurable(
                f"a {family} is not measured on {self.annotations}, which {annotations} holds"
            )

    @abstractmethod
    def load(
        self, annotations: Path, images: Path, limit: int | None = None
    ) -> tuple[list[Any], list[Skipped]]:
        """The first images that can be measured on, and those left out, which are told on stderr.

        Raises PeoplesegError where nothing is left, or the annotations are broken.
        """

    @abstractmethod
    def evaluate(
        self,
        loaded: Loaded,
        images: Sequence[Any],
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> Measured:
        """Measure as served. NaN: nothing to measure. Moves the networks to `device`.

        size: side of the square, where a network takes several. An image that does not decode is
        named on stderr and left out. Raises Unmeasurable.
        """

    @abstractmethod
    def sheet(self, loaded: Loaded, images: Sequence[Any], *, size: int | None = None) -> Picture:
        """What is true beside what is found, of a few of the images. Raises Unmeasurable."""

    def pictures(
        self, loaded: Loaded, images: Sequence[Any], measured: Measured, *, size: int | None = None
    ) -> dict[str, Picture]:
        """All pictures of a checkpoint, by what stands behind its name in theirs."""
        return {"": self.sheet(loaded, images, size=size)}

    def described(self, images: Sequence[Any]) -> dict[str, Any]:
        """What a record says of the images."""
        return {"images": len(images)}

    def reported(self, behind: Any) -> dict[str, Any]:
        """What a record says beside the metrics."""
        return {}

    def details(self, rows: Sequence[Row]) -> str:
        """What is printed below the table."""
        return ""

    def completing(self, args: "Options") -> Callable[[Loaded], Loaded]:
        """What completes a checkpoint by the networks that the options name."""
        return lambda loaded: loaded

    def together(self, several: Sequence[Loaded]) -> Loaded:
        """Several networks as one whose response is the mean of theirs. Raises Unmeasurable."""
        raise Unmeasurable(f"networks of {', '.join(self.families)} are not measured together")
