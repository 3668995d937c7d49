"""Layers that the referring networks are made of."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from peopleseg.networks.referring.positions import WIDTH

FOCAL_PRIOR = 0.01  # what a classifier says of everything at first (arXiv:1708.02002)


class OwnStart(nn.Module):
    """A module that sets its own first values, after those around it are set."""

    def initialise(self) -> None:
        raise NotImplementedError


class Perceptron(nn.Sequential):
    """Linear layers with ReLU between them: [..., first] to [..., last]."""

    def __init__(self, *widths: int) -> None:
        layers: list[nn.Module] = []
        for inner, outer in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        super().__init__(*layers[:-1])

    @property
    def last(self) -> nn.Linear:
        layer = self[-1]
        assert isinstance(layer, nn.Linear)
        return layer


class Attention(nn.Module):
    """Softmax attention of several heads (arXiv:1706.03762): [B, T, C] and [B, N, C] to [B, T, C].

    qkv_bias: whether the three projections in have one; that out has.
    """

    def __init__(self, heads: int, width: int = WIDTH, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, qkv_bias) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """bias: what is added to the scores before the softmax, [heads, T, N]."""
        queries, keys, values = (
            in_heads(project(tokens), self.heads)
            for project, tokens in ((self.query, query), (self.key, key), (self.value, value))
        )
        mask = None if bias is None else bias[None].to(queries.dtype)
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.out(of_heads(seen))  # type: ignore[no-any-return]


class LinearAttention(nn.Module):
    """Attention without a softmax, at a cost linear in the tokens: [B, N, C] to the same.

    Queries and keys pass a ReLU, and the keys are shares of their sum over the tokens; nothing
    divides by what a query attends to, as published for the `efficient` transformer.
    """

    def __init__(self, heads: int, width: int = WIDTH) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            in_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        query, key = query.relu(), key.relu()
        shares = key / (key.sum(dim=2, keepdim=True) + 1e-6)
        return self.out(of_heads(query @ (shares.transpose(2, 3) @ value)))  # type: ignore[no-any-return]


def feed_forward(hidden: int, activation: nn.Module, width: int = WIDTH) -> nn.Sequential:
    """A token's own two linear layers."""
    return nn.Sequential(nn.Linear(width, hidden), activation, nn.Linear(hidden, width))


def in_heads(tokens: Tensor, heads: int) -> Tensor:
    """[B, N, heads * C] to [B, heads, N, C]."""
    return tokens.unflatten(-1, (heads, tokens.shape[-1] // heads)).transpose(1, 2)


def of_heads(tokens: Tensor) -> Tensor:
    """[B, heads, N, C] to [B, N, heads * C]."""
    return tokens.transpose(1, 2).flatten(2)


def focal_bias(classifier: nn.Linear) -> nn.Linear:
    """The same, which says no to almost everything at first."""
    nn.init.constant_(classifier.bias, -math.log((1 - FOCAL_PRIOR) / FOCAL_PRIOR))
    return classifier


def run(layer: nn.Module, *inputs: Any, recompute: bool) -> Tensor:
    """What a layer answers. recompute: compute it again for the gradient, to need less memory.

    A layer with a batch norm is never run twice: it would count its batch twice.
    """
    if recompute and torch.is_grad_enabled() and not has_batch_norm(layer):
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)  # type: ignore[no-any-return]


def has_batch_norm(layer: nn.Module) -> bool:
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    return any(isinstance(module, norms) for module in layer.modules())
