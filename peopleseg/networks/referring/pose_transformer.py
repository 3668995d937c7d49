"""What the four transformers have in common: an encoder of maps, then a decoder of groups.

UniPHD (Miao et al. 2024, arXiv:2410.20508) on GroupPose (arXiv:2308.07313): the encoder's best
cells propose 17 keypoints each; a group is an instance token, at first the prompt, and 17
keypoint tokens, and every decoder layer moves the keypoints to where the next one looks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.deformable_attention import LEVELS
from peopleseg.networks.referring.heads import KEYPOINTS, LayerHeads, ProposalHeads, with_centre
from peopleseg.networks.referring.layers import OwnStart, Perceptron, run
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.positions import (
    MAP_TEMPERATURE,
    TEMPERATURE,
    WIDTH,
    cell_centres,
    point_sines,
)
from peopleseg.networks.referring.pyramid import Pyramid

GROUPS = 20
TOKENS = 1 + KEYPOINTS  # of a group: the instance's, and one a keypoint
DECODER_LAYERS = 6


class Encoder(nn.Module):
    """A pyramid and its positions, [1, N, 256], to a pyramid of the same sizes.

    recompute: keep no layer's inside for the gradient, but compute it twice.
    """

    as_published = False  # see PoseTransformer

    def forward(self, maps: Pyramid, positions: Tensor, recompute: bool = False) -> Pyramid:
        raise NotImplementedError


class DecoderLayer(nn.Module):
    """Tokens of the groups, [P, Q, 18, 256], to the same, by each other and by the memory.

    positions: what is added to the tokens where they attend, [P, Q, 18, 256], zero for the
    instance's. places: x, y in (0, 1) of the tokens, [P, Q, 18, 2].
    """

    as_published = False  # see PoseTransformer

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        raise NotImplementedError


class Decoded(NamedTuple):
    """What a transformer makes of P prompts."""

    layers: list[RefOutput]  # of the decoder's, the first one first
    proposals: RefOutput  # of the encoder
    memory: Pyramid
    queries: Tensor  # [P, Q, 256]: the last layer's instance tokens
    centres: Tensor  # [P, Q, 2]: x, y in (0, 1) of the groups before the last layer


class PoseTransformer(nn.Module):
    """Four maps of P prompts, of 256 channels at strides 8 to 64, to Q guesses at each person.

    groups: Q; the maps need as many cells. as_published: compute what the design's source does,
    where this differs: for weights that were trained there.
    """

    def __init__(
        self, encoder: Encoder, layers: Sequence[DecoderLayer], groups: int = GROUPS
    ) -> None:
        super().__init__()
        self.groups = groups
        self.as_published = False
        self.recompute = False  # compute layers twice for the gradient, to need less memory
        self.encoder = encoder
        self.layers = nn.ModuleList(layers)
        self.level_embedding = nn.Parameter(torch.empty(LEVELS, WIDTH))
        self.keypoint_embedding = nn.Embedding(KEYPOINTS, WIDTH)
        self.place = Perceptron(WIDTH, WIDTH, WIDTH)
        self._initialise()
        self.proposals = ProposalHeads(groups)
        self.heads = nn.ModuleList(LayerHeads() for _ in layers)

    def _initialise(self) -> None:
        for values in self.parameters():
            if values.dim() > 1:
                nn.init.xavier_uniform_(values)
        nn.init.normal_(self.level_embedding)
        for module in self.modules():
            if isinstance(module, OwnStart):
                module.initialise()

    def compute_as_published(self) -> None:
        """From now on."""
        parts = (self, self.encoder, self.proposals, *self.layers)
        for part in parts:
            part.as_published = True

    def forward(self, maps: Pyramid, sentence: Tensor) -> Decoded:
        """sentence: what the prompt says as a whole, [P, 256]."""
        memory = self.encoder(maps, self._positions(maps), self.recompute)
        proposals = self.proposals(memory)
        tokens = self._tokens(sentence, proposals.memory)
        places = with_centre(proposals.output.keypoints.detach())
        outputs: list[RefOutput] = []
        for layer, heads in zip(self.layers, self.heads, strict=True):
            centres = places[:, :, 0]
            looked = places.detach()
            positions = self.place(point_sines(looked[:, :, 1:], TEMPERATURE))
            positions = F.pad(positions, (0, 0, 1, 0))
            tokens = run(layer, tokens, positions, looked, memory, recompute=self.recompute)
            output, places = heads(tokens, places)
            outputs.append(output)
        return Decoded(outputs, proposals.output, memory, tokens[:, :, 0], centres)

    def _positions(self, maps: Pyramid) -> Tensor:
        places = _cell_ends if self.as_published else cell_centres
        levels = [
            point_sines(places(size, maps.tokens), MAP_TEMPERATURE) + embedding
            for size, embedding in zip(maps.sizes_hw, self.level_embedding, strict=True)
        ]
        return torch.cat(levels)[None]

    def _tokens(self, sentence: Tensor, cells: Tensor) -> Tensor:
        """The groups' first tokens. A cell learns from what it proposes, not from what follows."""
        keypoints = self.keypoint_embedding.weight + cells.detach()[:, :, None]
        instance = sentence[:, None, None].expand(-1, self.groups, -1, -1)
        return torch.cat((instance, keypoints), dim=2)


def _cell_ends(size_hw: tuple[int, int], like: Tensor) -> Tensor:
    """`cell_centres`, but of the corners at the cells' right and bottom: DETR counts from 1."""
    halves = [0.5 / length for length in size_hw[::-1]]
    return cell_centres(size_hw, like) + torch.tensor(halves, device=like.device)
