"""TITE: a text encoder that needs fewer and fewer tokens, until one is left.

Schlatt et al. 2025 (10.1145/3726302.3730094), as `webis/tite-2-late-msmarco`: twelve layers of 768
channels, of which the last nine halve the tokens. 108,496,896 parameters by the paper and its
public configuration; the model's page says 109 M. Where that configuration asks for a norm of
queries and keys, the public code has none, and so has this. No weights of it were compared.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.layers import in_heads, of_heads
from peopleseg.networks.referring.positions import TEMPERATURE

WORDS = 30_522  # of the vocabulary, which is BERT's
WIDTH, HEADS, HIDDEN = 768, 12, 3072
FULL_LAYERS, HALVING_LAYERS = 3, 9
NORM_EPS = 1e-12
DROPOUT = 0.1


class Tite(nn.Module):
    """Token numbers, [P, T] int64, and which are there, [P, T] bool, to [P, T / 512 or 1, 768].

    Every text needs a token; those that are there come first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH, padding_idx=0)
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.dropout = nn.Dropout(DROPOUT)
        halving = (False,) * FULL_LAYERS + (True,) * HALVING_LAYERS
        self.layers = nn.ModuleList(TiteLayer(halves) for halves in halving)

    def forward(self, ids: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.dropout(self.norm(self.words(ids)))
        for layer in self.layers:
            tokens, there = layer(tokens, there)
        return tokens, there


class TiteLayer(nn.Module):
    """Post-norm attention and feed-forward; a layer that halves asks with means of two tokens.

    What the means ask is what all tokens hold: keys and values are those of before.
    """

    def __init__(self, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.inner, self.outer = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.forward_norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        asking, asked = halved(tokens, there) if self.halves else (tokens, there)
        seen = F.scaled_dot_product_attention(
            turned(in_heads(self.query(asking), HEADS), places_of(asking)),
            turned(in_heads(self.key(tokens), HEADS), places_of(tokens)),
            in_heads(self.value(tokens), HEADS),
            attn_mask=there[:, None, None],
        )
        mixed = self.norm(asking + self.dropout(self.out(of_heads(seen))))
        inner = F.gelu(self.inner(mixed), approximate="tanh")
        return self.forward_norm(mixed + self.dropout(self.outer(inner))), asked


def halved(tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Means of tokens two by two, of those that are there: [P, T, C] to [P, T / 2 up, C]."""
    shares = there.to(tokens.dtype)[..., None]
    known = F.pad(tokens * shares, (0, 0, 0, 1))  # for a last one without a second
    counts = F.pad(shares, (0, 0, 0, 1))
    sums = known[:, :-1:2] + known[:, 1::2]
    pairs = counts[:, :-1:2] + counts[:, 1::2]
    return sums / pairs.clamp(min=1), pairs[..., 0] > 0


def places_of(tokens: Tensor) -> Tensor:
    """0, 1, 2 ... of tokens [P, T, C]: [T]. Summed, since an exporter would fix a length here."""
    return torch.ones_like(tokens[0, :, 0], dtype=torch.float32).cumsum(dim=0) - 1


def turned(tokens: Tensor, places: Tensor) -> Tensor:
    """[P, heads, T, C] turned by their places, [T], channels two by two (Su et al. 2021)."""
    channels = int(tokens.shape[3])
    pairs = torch.arange(channels // 2, dtype=torch.float32, device=tokens.device)
    angles = places[:, None] / TEMPERATURE ** (2 * pairs / channels)
    cos, sin = angles.cos().to(tokens.dtype), angles.sin().to(tokens.dtype)
    even, odd = tokens[..., 0::2], tokens[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
