"""Maps of several sizes as one row of tokens, and back."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Pyramid(NamedTuple):
    """Maps of P prompts, the finest first: the tokens of each row by row, one map after another.

    The squares that the networks see are whole: none of their cells is padding.
    """

    tokens: Tensor  # [P, N, C], N the cells of all maps
    sizes_hw: tuple[tuple[int, int], ...]

    def maps(self) -> list[Tensor]:
        """[P, C, h, w] each."""
        parts = self.tokens.split([height * width for height, width in self.sizes_hw], dim=1)
        return [
            part.transpose(1, 2).unflatten(2, size)
            for part, size in zip(parts, self.sizes_hw, strict=True)
        ]

    def with_tokens(self, tokens: Tensor) -> "Pyramid":
        """Of the same sizes."""
        return Pyramid(tokens, self.sizes_hw)


def pyramid(maps: Sequence[Tensor]) -> Pyramid:
    """Of maps [P, C, h, w], whose sizes a traced graph keeps."""
    tokens = torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1)
    return Pyramid(tokens, tuple((int(one.shape[2]), int(one.shape[3])) for one in maps))
