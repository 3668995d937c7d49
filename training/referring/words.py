"""Texts for the text encoder of a network."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from peopleseg.networks.referring.text_encoders import TextEncoder, TextFeatures, packaged_model

MOST_TOKENS = 128  # of a text; what is longer is cut


class WordReader:
    """Texts to TextFeatures by an encoder.

    tokenizer: a tokenizer.json; None takes that of MiniLM's package, at the first text. keep: each
    text's features are kept, for an encoder that does not learn; without its dropout, then.
    """

    def __init__(self, encoder: TextEncoder, tokenizer: Path | None, *, keep: bool) -> None:
        self._encoder, self._file, self._keep = encoder, tokenizer, keep
        self._tokenizer: Tokenizer | None = None
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}  # tokens and pooled of a text

    def __call__(self, texts: Sequence[str], device: torch.device) -> TextFeatures:
        if not self._keep:
            return self._encoder(*self._tokens(texts, device))  # type: ignore[no-any-return]
        if new := [text for text in dict.fromkeys(texts) if text not in self._kept]:
            self._read(new, device)
        tokens, pooled = zip(*(self._kept[text] for text in texts), strict=True)
        padded = torch.nn.utils.rnn.pad_sequence(list(tokens), batch_first=True)
        lengths = torch.tensor([len(one) for one in tokens])
        padding = torch.arange(padded.shape[1]) >= lengths[:, None]
        parts = (padded, padding, torch.stack(pooled))
        return TextFeatures(*(part.to(device) for part in parts))

    @torch.no_grad()
    def _read(self, texts: Sequence[str], device: torch.device) -> None:
        self._encoder.eval()
        found = self._encoder(*self._tokens(texts, device))
        for row, text in enumerate(texts):
            there = ~found.padding[row]
            self._kept[text] = found.tokens[row][there].cpu(), found.pooled[row].cpu()

    def _tokens(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers and which are there, [P, T] int64 each."""
        if self._tokenizer is None:
            file = self._file or packaged_model() / "tokenizer.json"
            self._tokenizer = Tokenizer.from_file(str(file))
            self._tokenizer.enable_truncation(MOST_TOKENS)
            self._tokenizer.enable_padding()
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([one.ids for one in encoded], device=device)
        return ids, torch.tensor([one.attention_mask for one in encoded], device=device)
