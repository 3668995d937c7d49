"""Networks of the referring system as they are exported."""

from typing import Any

import torch
from torch import Tensor, nn

from conversion.export.exportable import Exportable, Shape
from peopleseg.networks.referring.chooser import PersonChooser
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.networks.referring.text_encoders import TextEncoder
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.contract import (
    MAX_TOKENS,
    PERSON_CHOOSER,
    PERSON_POSE,
    TEXT_ENCODER,
)
from peopleseg.systems.referring.describing import SCORE


class ExportablePose(nn.Module):
    """crops [B, 3, H, W] uint8 to joints [B, 17, 3], the places and the visibility in [0, 1], and
    looks [B, L]."""

    def __init__(self, network: PersonPose) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.read(crops.float() / 255)


def of_pose(network: Any) -> Exportable:
    module = ExportablePose(network).eval()
    shapes: dict[str, Shape] = {"crops": (3, *network.size_hw)}
    return Exportable(PERSON_POSE, module, module, shapes, network.dims)


class ExportableTextEncoder(nn.Module):
    """tokens and token_mask [P, MAX_TOKENS] int64 to words [P, MAX_TOKENS, C], 0 where no text has
    a token.

    It computes as many tokens as the longest text has: most texts have a dozen.
    """

    def __init__(self, network: TextEncoder) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, tokens: Tensor, token_mask: Tensor) -> Tensor:
        longest = token_mask.sum(dim=1).max().clamp(min=1)
        words: Tensor = self.network(tokens[:, :longest], token_mask[:, :longest]).tokens
        rest = tokens[:, longest:, None].to(words.dtype).expand(-1, -1, words.shape[2])
        return torch.cat((words, torch.zeros_like(rest)), dim=1)


def of_text_encoder(network: Any) -> Exportable:
    module = ExportableTextEncoder(network).eval()
    shapes: dict[str, Shape] = {"tokens": (MAX_TOKENS,), "token_mask": (MAX_TOKENS,)}
    return Exportable(TEXT_ENCODER, module, module, shapes, network.dims)


class ExportableChooser(nn.Module):
    """words, token_mask and people to choices [P, MAX_PEOPLE]: the probability that the text means
    each, times the score that there is somebody."""

    def __init__(self, network: PersonChooser) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, words: Tensor, token_mask: Tensor, people: Tensor) -> Tensor:
        chosen: Tensor = self.network(words, token_mask, people).softmax(dim=1)
        return chosen * people[..., SCORE]


def of_chooser(network: Any) -> Exportable:
    module = ExportableChooser(network).eval()
    shapes: dict[str, Shape] = {
        "words": (MAX_TOKENS, network.dims["words"]),
        "token_mask": (MAX_TOKENS,),
        "people": (MAX_PEOPLE, network.dims["person"]),
    }
    return Exportable(PERSON_CHOOSER, module, module, shapes, network.dims)
