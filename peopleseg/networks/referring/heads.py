"""What the decoder's layers and the encoder's proposals say of a group.

Each layer has heads of its own, as published, and moves the keypoints of the layer before it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from peopleseg.networks.referring.layers import Perceptron, focal_bias
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.positions import WIDTH, cell_centres, logit
from peopleseg.networks.referring.pyramid import Pyramid

KEYPOINTS = 17  # COCO's
EDGE = 0.01  # of the square, where published proposals see nothing
CLASSES = 2  # the person meant, and one that nothing reads: as published


class LayerHeads(nn.Module):
    """Of one decoder layer: tokens of Q groups, [P, Q, 18, 256], the instance's first."""

    def __init__(self) -> None:
        super().__init__()
        self.referred = focal_bias(nn.Linear(WIDTH, CLASSES))
        self.box = Perceptron(WIDTH, WIDTH, WIDTH, 4)
        self.keypoints = Perceptron(WIDTH, WIDTH, WIDTH, 2)
        self.visibility = focal_bias(nn.Linear(WIDTH, 1))
        for moves in (self.box, self.keypoints):  # nothing at first
            nn.init.zeros_(moves.last.weight)
            nn.init.zeros_(moves.last.bias)

    def forward(self, tokens: Tensor, places: Tensor) -> tuple[RefOutput, Tensor]:
        """What is said, and where the tokens are from now on, [P, Q, 18, 2].

        places: x, y in (0, 1) of the tokens before the layer. What is said teaches the layer before
        it too, and no earlier one, as Zhang et al. 2022 look forward (arXiv:2203.03605).
        """
        instance, keypoints = tokens[:, :, 0], tokens[:, :, 1:]
        size = self.box(instance)
        boxes = torch.cat((size[..., :2] + logit(places[:, :, 0]), size[..., 2:]), dim=-1)
        move = self.keypoints(keypoints)
        moved = (logit(places[:, :, 1:]) + move).sigmoid()
        visibility = self.visibility(keypoints).squeeze(-1)
        said = RefOutput(self.referred(instance), boxes.sigmoid(), moved, visibility, None)
        return said, with_centre((logit(places.detach()[:, :, 1:]) + move).sigmoid())


class Proposals(NamedTuple):
    """The Q cells of the memory that most look like the person meant, best first."""

    output: RefOutput
    memory: Tensor  # [P, Q, 256]: the cells


class ProposalHeads(nn.Module):
    """Of the encoder's memory.

    A cell proposes no box: no head of the published network does, and the box around its
    keypoints would not be the person's. as_published: cells at the square's edges see nothing, and
    the higher of a cell's two logits chooses it.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.as_published = False
        self.project = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.referred = focal_bias(nn.Linear(WIDTH, CLASSES))
        self.keypoints = Perceptron(WIDTH, *(3 * (2 * WIDTH,)), 2 * KEYPOINTS)
        nn.init.zeros_(self.keypoints.last.weight)
        nn.init.zeros_(self.keypoints.last.bias)

    def forward(self, memory: Pyramid) -> Proposals:
        cells = memory.tokens
        centres = torch.cat([cell_centres(size, cells) for size in memory.sizes_hw])
        if self.as_published:
            inside = ((centres > EDGE) & (centres < 1 - EDGE)).all(dim=1, keepdim=True)
            cells = cells * inside.to(cells.dtype)
        tokens = self.norm(self.project(cells))
        logits = self.referred(tokens)
        scores = logits.amax(dim=2) if self.as_published else logits[..., 0]
        best = scores.topk(self.groups, dim=1).indices[..., None]
        cells = picked(tokens, best)
        around = logit(centres)[best[..., 0]]
        keypoints = self.keypoints(cells).unflatten(-1, (KEYPOINTS, 2)) + around[:, :, None]
        output = RefOutput(picked(logits, best), None, keypoints.sigmoid(), None, None)
        return Proposals(output, cells)


def picked(tokens: Tensor, index: Tensor) -> Tensor:
    """[P, N, C] at [P, Q, 1] to [P, Q, C]."""
    return tokens.gather(1, index.expand(-1, -1, tokens.shape[2]))


def with_centre(keypoints: Tensor) -> Tensor:
    """Places of keypoints, [P, Q, 17, 2], behind their mean, the instance's place."""
    return torch.cat((keypoints.mean(dim=2, keepdim=True), keypoints), dim=2)
