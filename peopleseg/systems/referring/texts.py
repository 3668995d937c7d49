"""The texts of a request."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from peopleseg.errors import InvalidInput
from peopleseg.systems.referring.contract import MAX_PROMPTS


def open_tokenizer(file: Path) -> Tokenizer:
    """That of a tokenizer.json, which takes "[SEP]" in a text for what it is: a word."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def checked_texts(texts: Sequence[bytes]) -> list[str]:
    """Raises InvalidInput for too many or none, for what is not UTF-8 and for nothing said."""
    if not 1 <= len(texts) <= MAX_PROMPTS:
        raise InvalidInput(f"text has {len(texts)} prompts, expected 1 to {MAX_PROMPTS}")
    return [_checked(number, text) for number, text in enumerate(texts)]


def _checked(number: int, text: bytes) -> str:
    try:
        said = text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"text {number} is not UTF-8 ({error.reason})") from error
    if not said.strip():
        raise InvalidInput(f"text {number} is empty; say something of the person")
    return said
