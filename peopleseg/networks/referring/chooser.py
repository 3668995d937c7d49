"""Which of the people in an image a text means."""

from typing import Any

import torch
from torch import Tensor, nn

WORD_CHANNELS = 384  # MiniLM's


class PersonChooser(nn.Module):
    """Words and people to the logits of each person, and of nobody.

    People look at each other and at the words (Vaswani et al. 2017, arXiv:1706.03762), since a
    text tells somebody from the others. words: channels of a word. person: numbers told of a
    person, the first of which says whether there is one. width, layers, heads: of the transformer.
    """

    def __init__(
        self,
        person: int,
        words: int = WORD_CHANNELS,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.dims: dict[str, Any] = {  # the arguments that build it
            "person": person, "words": words,
            "width": width, "layers": layers, "heads": heads,
        }
        self.of_person = nn.Sequential(
            nn.Linear(person, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
        )
        self.of_word = nn.Sequential(nn.Linear(words, width), nn.LayerNorm(width))
        self.nobody = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.nobody, std=0.1)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, 2 * width, batch_first=True, norm_first=True, activation="gelu"
            )
            for _ in range(layers)
        )
        self.logit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, words: Tensor, token_mask: Tensor, people: Tensor) -> Tensor:
        """[P, N + 1] logits, the last one of nobody; -inf where there is no person.

        words: [P, T, C]; token_mask: [P, T], 0 where there is no word; people: [P, N, D].
        """
        absent = torch.cat((people[..., 0] < 0.5, torch.zeros_like(people[:, :1, 0]).bool()), dim=1)
        nobody = self.nobody.expand(len(people), 1, -1)
        x = torch.cat((self.of_person(people), nobody), dim=1)
        told = self.of_word(words)
        for layer in self.layers:
            x = layer(
                x,
                told,
                tgt_key_padding_mask=absent,
                memory_key_padding_mask=token_mask == 0,
            )
        logits: Tensor = self.logit(x)[..., 0]
        return logits.masked_fill(absent, -torch.inf)
