"""Words of texts by the text encoder, each text read once."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from peopleseg.errors import WrongUsage
from peopleseg.networks.referring.text_encoders import TextEncoder, packaged_model

AT_ONCE = 64  # texts
LONGEST = 512  # tokens that the encoder has places for


class SentenceReader:
    """MiniLM, which stays as it is. folder: of an all-MiniLM-L6-v2; None takes the package's.

    Raises WrongUsage where neither is there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or packaged_model()
        vocabulary = folder / "tokenizer.json"
        if not vocabulary.is_file():
            raise WrongUsage(
                f"{vocabulary} is not there; name the folder of an all-MiniLM-L6-v2 model"
            )
        self._tokenizer = Tokenizer.from_file(str(vocabulary))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._encoder = TextEncoder("minilm").eval()
        self._encoder.load(folder)
        self._words: dict[str, Tensor] = {}

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> None:
        """Those that are not known yet."""
        new = sorted((one for one in texts if one not in self._words), key=len)
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            encoded = [one.ids[:LONGEST] for one in self._tokenizer.encode_batch(some)]
            longest = max(map(len, encoded))
            ids = torch.tensor([one + [0] * (longest - len(one)) for one in encoded])
            mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in encoded])
            tokens = self._encoder(ids, mask).tokens
            for text, one, words in zip(some, encoded, tokens, strict=True):
                self._words[text] = words[: len(one)].half().clone()

    def batch(self, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
        """float32 (P, length, C) and int64 (P, length), 1 where a word is; cut at `length`."""
        words = torch.zeros((len(texts), length, self._encoder.width))
        mask = torch.zeros((len(texts), length), dtype=torch.int64)
        for row, text in enumerate(texts):
            known = self._words[text][:length]
            words[row, : len(known)], mask[row, : len(known)] = known.float(), 1
        return words, mask
