"""What a prompt says: an expression, or points on the person and beside it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.errors import InvalidInput
from peopleseg.networks.referring.positions import (
    MAP_TEMPERATURE,
    WIDTH,
    point_sines,
    word_sines,
)
from peopleseg.networks.referring.text_encoders import TextFeatures

DROPOUT = 0.1
NORM_EPS = 1e-12
POINT_STRIDE = 16  # of the map that points are read from


class Prompts(NamedTuple):
    """Of P prompts."""

    tokens: Tensor  # [P, T, 256]: a word each, or a point
    positions: Tensor  # [P, T, 256], of the tokens
    padding: Tensor  # [P, T] bool: True where there is no token
    sentence: Tensor  # [P, 256]: the prompt as a whole
    is_text: Tensor  # [P] bool: an expression, else points


class Projection(nn.Sequential):
    """[..., C] to [..., 256]."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Linear(channels, WIDTH), nn.LayerNorm(WIDTH, eps=NORM_EPS), nn.Dropout(DROPOUT)
        )


class TextPrompts(nn.Module):
    """Expressions. channels: of the text encoder's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.words, self.sentence = Projection(channels), Projection(channels)

    def forward(self, features: TextFeatures) -> Prompts:
        padding = features.padding
        is_text = torch.ones_like(padding[:, 0])
        words, sentence = self.words(features.tokens), self.sentence(features.pooled)
        return Prompts(words, word_sines(padding), padding, sentence, is_text)


class PointPrompts(nn.Module):
    """Points, and so scribbles, as what the backbone sees there.

    channels: of its map at stride 16. negative_points: know points that are not on the person,
    by 256 parameters that no published network has; else they are refused.
    """

    def __init__(self, channels: int, negative_points: bool = False) -> None:
        super().__init__()
        self.points, self.sentence = Projection(channels), Projection(WIDTH)
        self.negative = nn.Parameter(torch.zeros(WIDTH)) if negative_points else None

    def forward(self, stride_16: Tensor, image_of: Tensor, points: Tensor) -> Prompts:
        """stride_16: [B, C, h, w]. image_of: [P] int64. points: [P, K, 3] fp32.

        points: x, y in pixels of the square, and 1 for a point on the person, 0 beside it, -1 for
        none. A prompt has at least one on the person. Raises InvalidInput for a point beside the
        person where these are not known.
        """
        shares = (points[..., :2] / (POINT_STRIDE * int(stride_16.shape[3]))).clamp(0, 1)
        where, label = shares.to(stride_16.dtype), points[..., 2]
        maps = stride_16[image_of]
        # As published, the outermost cells' centres lie on the square's edges here.
        seen = F.grid_sample(maps, 2 * where[:, :, None] - 1, align_corners=True)
        tokens = self.points(seen.squeeze(3).transpose(1, 2))
        tokens = self._with_sign(tokens, label)
        there = (label > 0).to(tokens.dtype)[..., None]
        mean = (tokens * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        padding = label < 0
        positions = point_sines(shares, MAP_TEMPERATURE)
        is_text = torch.zeros_like(padding[:, 0])
        return Prompts(tokens, positions, padding, self.sentence(mean), is_text)

    def _with_sign(self, tokens: Tensor, label: Tensor) -> Tensor:
        if self.negative is not None:
            return tokens + (label == 0).to(tokens.dtype)[..., None] * self.negative
        if not _traced() and bool((label == 0).any()):
            raise InvalidInput(
                "a point has label 0, not on the person, which this network was not built for; "
                "leave such points out, or train one with negative_points"
            )
        return tokens


def joined(text: Prompts, points: Prompts, is_text: Tensor) -> Prompts:
    """Expressions and points as one: `is_text`, [P] bool, tells which comes next."""
    length = max(text.tokens.shape[1], points.tokens.shape[1])
    rows = is_text.nonzero().flatten(), (~is_text).nonzero().flatten()
    order = torch.cat(rows).argsort()

    def together(one: Tensor, other: Tensor, fill: float) -> Tensor:
        parts = [_lengthened(part, length, fill) for part in (one, other)]
        return torch.cat(parts)[order]

    return Prompts(
        together(text.tokens, points.tokens, 0),
        together(text.positions, points.positions, 0),
        together(text.padding, points.padding, True),
        torch.cat((text.sentence, points.sentence))[order],
        is_text,
    )


def _lengthened(values: Tensor, length: int, fill: float) -> Tensor:
    """[P, T, ...] to [P, length, ...]."""
    more = values.new_full((len(values), length - values.shape[1], *values.shape[2:]), fill)
    return torch.cat((values, more), dim=1)


def _traced() -> bool:
    """An exporter follows: what it would ask of values is fixed in its graph."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]
