"""The `efficient` transformer: attention whose cost is linear in the cells of the maps.

11,029,588 parameters with its heads but those of visibility, 8,763,392 without any, as published,
where two faults are mended at no parameter: the two local convolutions were defined and never
called, here they add to each map before the attention; and the keypoints' positions were computed
and never read, here they are added where tokens attend. `as_published` has both as they were.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.layers import (
    Attention,
    LinearAttention,
    feed_forward,
    run,
)
from peopleseg.networks.referring.pose_transformer import (
    DECODER_LAYERS,
    GROUPS,
    TOKENS,
    DecoderLayer,
    Encoder,
    PoseTransformer,
)
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from peopleseg.networks.referring.separable import Separable

HEADS = 4
HIDDEN = 512
ENCODER_LAYERS = 4


def efficient(groups: int = GROUPS) -> PoseTransformer:
    return PoseTransformer(
        LinearEncoder(), [LinearDecoderLayer() for _ in range(DECODER_LAYERS)], groups
    )


class LinearEncoder(Encoder):
    """Linear attention over the cells of all maps at once, norms first."""

    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Sequential(Separable(3), nn.GELU(), Separable(3))
        self.layers = nn.ModuleList(LinearEncoderLayer() for _ in range(ENCODER_LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, maps: Pyramid, positions: Tensor, recompute: bool = False) -> Pyramid:
        placed = maps.with_tokens(maps.tokens + positions)
        tokens = placed.tokens
        if not self.as_published:
            tokens = pyramid([one + self.local(one) for one in placed.maps()]).tokens
        for layer in self.layers:
            tokens = run(layer, tokens, recompute=recompute)
        return maps.with_tokens(self.norm(tokens))


class LinearEncoderLayer(nn.Module):
    """526,336 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = LinearAttention(HEADS)
        self.forward_norm = nn.LayerNorm(WIDTH)
        self.forward_layers = feed_forward(HIDDEN, nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.forward_layers(self.forward_norm(tokens))  # type: ignore[no-any-return]


class LinearDecoderLayer(DecoderLayer):
    """1,052,928 parameters. Across groups only the instances' tokens attend."""

    def __init__(self) -> None:
        super().__init__()
        self.within = Attention(HEADS, qkv_bias=False)
        self.within_norm = nn.LayerNorm(WIDTH)
        self.across = LinearAttention(HEADS)
        self.across_norm = nn.LayerNorm(WIDTH)
        self.memory = Attention(HEADS)
        self.memory_norm = nn.LayerNorm(WIDTH)
        self.forward_layers = feed_forward(HIDDEN, nn.GELU())
        self.forward_norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        if self.as_published:
            positions = torch.zeros_like(positions)
        placed = (tokens + positions).flatten(0, 1)
        within = self.within(placed, placed, tokens.flatten(0, 1))
        tokens = self.within_norm(tokens + within.unflatten(0, (-1, tokens.shape[1])))
        tokens = self.across_norm(tokens + instances_alone(self.across(tokens[:, :, 0])))
        asked = (tokens + positions).flatten(1, 2)
        seen = self.memory(asked, memory.tokens, memory.tokens)
        tokens = self.memory_norm(tokens + seen.unflatten(1, (-1, TOKENS)))
        return self.forward_norm(tokens + self.forward_layers(tokens))  # type: ignore[no-any-return]


def instances_alone(instances: Tensor) -> Tensor:
    """[P, Q, C] to [P, Q, 18, C], zero for the keypoints."""
    return F.pad(instances[:, :, None], (0, 0, 0, TOKENS - 1))
