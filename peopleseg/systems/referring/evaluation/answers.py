"""What is compared: the groups that answer a prompt, and the person whom it means."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Groups:
    """G guesses at the person, in any order; none where nobody was found.

    Raises ValueError where the best of several groups has no mask though others have, or the
    numbers of scores, keypoints and masks do not fit.
    """

    scores: NDArray[np.floating]  # (G,)
    keypoints: NDArray[np.floating]  # (G, 17, 2) x, y in image pixels
    masks: NDArray[np.bool_] | None  # (M, H, W); None where none was asked for
    masked: Sequence[int] | None = None  # the M groups that the masks are of; None: of all G

    def __post_init__(self) -> None:
        if len(self.keypoints) != len(self.scores):
            raise ValueError(f"{len(self.keypoints)} poses for {len(self.scores)} scores")
        if self.masks is None:
            return
        if len(self.masks) != len(self.masked_groups):
            raise ValueError(f"{len(self.masks)} masks for the groups {list(self.masked_groups)}")
        if self.best is not None and self.best not in self.masked_groups:
            raise ValueError(
                f"the best group, {self.best}, has no mask, only {list(self.masked_groups)}; ask "
                "for the best group's mask"
            )

    @property
    def best(self) -> int | None:
        """The group of the highest score, the first of equals; None where there is none."""
        return int(np.argmax(self.scores)) if len(self.scores) else None

    @property
    def masked_groups(self) -> Sequence[int]:
        """The group that each of the masks is of."""
        return range(len(self.scores)) if self.masked is None else self.masked


@dataclass(frozen=True)
class TruePerson:
    """The person whom a prompt means."""

    keypoints: NDArray[np.floating]  # (17, 2) x, y of COCO's keypoints, image pixels
    known: NDArray[np.bool_]  # (17,) whether the position is
    area: float  # of the person, square pixels
    mask: NDArray[np.uint8] | None  # (H, W) 1 the person, 0 not, UNKNOWN; None where not known
    others: Sequence[NDArray[np.uint8]] = ()  # the same of the image's other people, where known
    among: int | None = None  # people in the image; None where not known
