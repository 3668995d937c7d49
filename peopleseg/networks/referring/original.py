"""The `original` transformer of UniPHD: six deformable layers, then six of the decoder.

27,343,636 parameters with its heads but those of visibility, 25,077,440 without any.
"""

import torch
from torch import Tensor, nn

from peopleseg.networks.referring.deformable_attention import DeformableAttention
from peopleseg.networks.referring.layers import Attention, OwnStart, feed_forward, run
from peopleseg.networks.referring.pose_transformer import (
    DECODER_LAYERS,
    GROUPS,
    TOKENS,
    DecoderLayer,
    Encoder,
    PoseTransformer,
)
from peopleseg.networks.referring.positions import WIDTH, cell_centres
from peopleseg.networks.referring.pyramid import Pyramid

HEADS = 8
HIDDEN = 2048  # of the feed-forward layers
ENCODER_LAYERS = 6


def original(groups: int = GROUPS) -> PoseTransformer:
    return PoseTransformer(
        DeformableEncoder(), [GraphDecoderLayer() for _ in range(DECODER_LAYERS)], groups
    )


class DeformableEncoder(Encoder):
    """Each cell looks at points of all maps, around its own place."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DeformableEncoderLayer() for _ in range(ENCODER_LAYERS))

    def forward(self, maps: Pyramid, positions: Tensor, recompute: bool = False) -> Pyramid:
        for layer in self.layers:
            maps = maps.with_tokens(run(layer, maps, positions, recompute=recompute))
        return maps


class DeformableEncoderLayer(nn.Module):
    """1,282,176 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = DeformableAttention(HEADS)
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.forward_layers = feed_forward(HIDDEN, nn.ReLU())
        self.forward_norm = nn.LayerNorm(WIDTH)

    def forward(self, maps: Pyramid, positions: Tensor) -> Tensor:
        tokens = maps.tokens
        places = torch.cat([cell_centres(size, tokens) for size in maps.sizes_hw])
        seen = self.attention(tokens + positions, places[None], maps)
        tokens = self.attention_norm(tokens + seen)
        return self.forward_norm(tokens + self.forward_layers(tokens))  # type: ignore[no-any-return]


class GraphAttention(OwnStart):
    """Attention among a group's tokens, to whose scores a learned graph is added, per head."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(HEADS)
        self.graph = nn.Parameter(torch.empty(HEADS, TOKENS, TOKENS))
        self.initialise()

    def initialise(self) -> None:
        """Almost no graph."""
        nn.init.constant_(self.graph, 1e-8)

    def forward(self, placed: Tensor, tokens: Tensor) -> Tensor:
        return self.attention(placed, placed, tokens, bias=self.graph)  # type: ignore[no-any-return]


class GraphDecoderLayer(DecoderLayer):
    """2,863,520 parameters.

    The source adds positions to the tokens themselves, in place, and so also to what is carried on;
    here only what attends has them, unless `as_published`. Across groups each of the 18 tokens
    attends to its own kind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.across = Attention(HEADS)
        self.across_norm = nn.LayerNorm(WIDTH)
        self.memory = DeformableAttention(HEADS)
        self.memory_norm = nn.LayerNorm(WIDTH)
        self.memory_forward = feed_forward(HIDDEN, nn.ReLU())
        self.memory_forward_norm = nn.LayerNorm(WIDTH)
        self.within = GraphAttention()
        self.within_norm = nn.LayerNorm(WIDTH)
        self.within_forward = feed_forward(HIDDEN, nn.ReLU())
        self.within_forward_norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        kinds = tokens.transpose(1, 2).flatten(0, 1)  # [P * 18, Q, 256]
        others = self.across(kinds, kinds, kinds).unflatten(0, (-1, TOKENS)).transpose(1, 2)
        tokens = self.across_norm(tokens + others)
        placed = tokens + positions
        seen = self.memory(placed.flatten(1, 2), places.flatten(1, 2), memory)
        carried = placed if self.as_published else tokens
        tokens = self.memory_norm(carried + seen.unflatten(1, (-1, TOKENS)))
        tokens = self.memory_forward_norm(tokens + self.memory_forward(tokens))
        placed = tokens + positions
        carried = placed if self.as_published else tokens
        within = self.within(placed.flatten(0, 1), carried.flatten(0, 1))
        tokens = self.within_norm(carried + within.unflatten(0, (-1, tokens.shape[1])))
        return self.within_forward_norm(tokens + self.within_forward(tokens))  # type: ignore[no-any-return]
