"""Which of the people in an image a text means."""

from typing import Any

from torch import Tensor, nn

WORD_CHANNELS = 384  # MiniLM's
ABSENT = -1e4  # a logit, also in FP16, whose probability is 0


class PersonChooser(nn.Module):
    """Words and people to a logit of each person.

    People look at each other and at the words (Vaswani et al. 2017, arXiv:1706.03762), since a
    text tells somebody from the others. words: channels of a word. person: numbers told of a
    person, the first of which says whether there is one. width, layers, heads: of the transformer.
    """

    def __init__(
        self,
        person: int,
        words: int = WORD_CHANNELS,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dims: dict[str, Any] = {  # the arguments that build it
            "person": person,
            "words": words,
            "width": width,
            "layers": layers,
            "heads": heads,
            "dropout": dropout,
        }
        self.of_person = nn.Sequential(
            nn.Linear(person, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
        )
        self.of_word = nn.Sequential(nn.Linear(words, width), nn.LayerNorm(width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                *(width, heads, 2 * width, dropout),
                batch_first=True,
                norm_first=True,
                activation="gelu",
            )
            for _ in range(layers)
        )
        self.logit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, words: Tensor, token_mask: Tensor, people: Tensor) -> Tensor:
        """[P, N] logits, ABSENT where there is no person; the first of N at least is one.

        words: [P, T, C]; token_mask: [P, T], 0 where there is no word; people: [P, N, D].
        """
        absent, no_word = people[..., 0] < 0.5, token_mask == 0
        x, told = self.of_person(people), self.of_word(words)
        for layer in self.layers:
            x = layer(x, told, tgt_key_padding_mask=absent, memory_key_padding_mask=no_word)
        logits: Tensor = self.logit(x)[..., 0]
        return logits.masked_fill(absent, ABSENT)
