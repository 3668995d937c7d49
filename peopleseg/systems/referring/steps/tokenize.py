"""Cut texts into the tokens of the text encoder."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.repository.settings import FILE
from peopleseg.systems.referring.contract import AROUND, MAX_TOKENS, TOKENIZE
from peopleseg.systems.referring.texts import checked_texts, open_tokenizer
from peopleseg.systems.step import Arrays, Step


class Tokenize(Step):
    """tokenizer: the text encoder's tokenizer.json, as the tokenizers library writes it.

    The letterbox is only waited for, so that no text is refused while the image is being read: an
    error ends a request at once, and Triton gives its memory to the next, whoever reads it still.
    """

    model = TOKENIZE
    settings = {"tokenizer": FILE}

    def __init__(self, tokenizer: str) -> None:
        self.tokenizer = open_tokenizer(Path(tokenizer))

    def compute(
        self, wanted: Collection[str], *, text: NDArray[np.object_], letterbox: NDArray[np.float32]
    ) -> Arrays:
        numbers = np.zeros((len(text), MAX_TOKENS), np.int64)
        there = np.zeros_like(numbers)
        encoded = self.tokenizer.encode_batch(checked_texts(text.tolist()))
        for row, one in enumerate(encoded):
            count = len(one.ids)
            if count <= AROUND:
                raise InvalidInput(
                    f"text {row} has no word, but for what nobody sees; say something of the person"
                )
            if count > MAX_TOKENS:
                raise InvalidInput(
                    f"text {row} has {count} tokens (words and parts of words, and two around "
                    f"them), expected at most {MAX_TOKENS}; say it in fewer words"
                )
            numbers[row, :count], there[row, :count] = one.ids, 1
        return {"tokens": numbers, "token_mask": there}
