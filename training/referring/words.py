"""Texts for the text encoder of a network."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from peopleseg.errors import WrongUsage
from peopleseg.networks.referring.text_encoders import TextEncoder, TextFeatures, packaged_model
from peopleseg.systems.referring.contract import MAX_TOKENS
from peopleseg.systems.referring.texts import open_tokenizer

VOCABULARY = "tokenizer.json"
AT_ONCE = 64  # texts, where each is read once
CPU = torch.device("cpu")


class WordReader:
    """Texts to TextFeatures by an encoder; a text of more than MAX_TOKENS is cut.

    tokenizer: a tokenizer.json; None takes that of MiniLM's package, at the first text. keep: each
    text's features are kept, for an encoder that does not learn; without its dropout, then.
    """

    def __init__(self, encoder: TextEncoder, tokenizer: Path | None, *, keep: bool) -> None:
        self._encoder, self._file, self._keep = encoder, tokenizer, keep
        self._tokenizer: Tokenizer | None = None
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}  # tokens and pooled of a text

    def __call__(self, texts: Sequence[str], device: torch.device = CPU) -> TextFeatures:
        if not self._keep:
            return self._encoder(*self._tokens(texts, device))  # type: ignore[no-any-return]
        self.read(texts, device)
        tokens, pooled = zip(*(self._kept[text] for text in texts), strict=True)
        padded = torch.nn.utils.rnn.pad_sequence(list(tokens), batch_first=True)
        lengths = torch.tensor([len(one) for one in tokens])
        padding = torch.arange(padded.shape[1]) >= lengths[:, None]
        parts = (padded, padding, torch.stack(pooled))
        return TextFeatures(*(part.to(device) for part in parts))

    @torch.no_grad()
    def read(self, texts: Sequence[str], device: torch.device = CPU) -> None:
        """Keep the features of those that are not known yet."""
        self._encoder.eval()
        new = sorted({text for text in texts if text not in self._kept}, key=len)
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            found = self._encoder(*self._tokens(some, device))
            for row, text in enumerate(some):
                there = ~found.padding[row]
                self._kept[text] = found.tokens[row][there].cpu(), found.pooled[row].cpu()

    def _tokens(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers and which are there, [P, T] int64 each."""
        if self._tokenizer is None:
            self._tokenizer = open_tokenizer(self._file or packaged_model() / VOCABULARY)
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer.enable_padding()
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([one.ids for one in encoded], device=device)
        return ids, torch.tensor([one.attention_mask for one in encoded], device=device)


def minilm_reader(folder: Path | None = None) -> WordReader:
    """By MiniLM as it is published, which stays as it is. folder: of an all-MiniLM-L6-v2; None
    takes the package's.

    Raises WrongUsage where its weights or its vocabulary are not there.
    """
    folder = folder or packaged_model()
    if not (folder / VOCABULARY).is_file():
        raise WrongUsage(
            f"{folder / VOCABULARY} is not there; name the folder of an all-MiniLM-L6-v2 model"
        )
    encoder = TextEncoder("minilm")
    encoder.load(folder)
    return WordReader(encoder, folder / VOCABULARY, keep=True)
