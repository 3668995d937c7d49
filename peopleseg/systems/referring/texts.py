"""The texts of a request."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from peopleseg.errors import InvalidInput
from peopleseg.systems.referring.contract import MAX_CHARACTERS, TEXT
from peopleseg.systems.referring.limits import check_prompts


def open_tokenizer(file: Path) -> Tokenizer:
    """That of a tokenizer.json, which takes "[SEP]" in a text for what it is: a word."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def checked_texts(texts: Sequence[bytes]) -> list[str]:
    """Raises InvalidInput for too many or none, for what is not UTF-8, for nothing said and for
    more than MAX_CHARACTERS.
    """
    check_prompts(TEXT.name, len(texts))
    return [_checked(number, text) for number, text in enumerate(texts)]


def _checked(number: int, text: bytes) -> str:
    try:
        said = text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"text {number} is not UTF-8 ({error.reason})") from error
    if not said.strip():
        raise InvalidInput(f"text {number} is empty; say something of the person")
    if len(said) > MAX_CHARACTERS:
        raise InvalidInput(
            f"text {number} has {len(said)} characters, expected at most {MAX_CHARACTERS}; say it "
            "in fewer words"
        )
    return said
