"""What the text encoder says of each word, read once."""

import json
from pathlib import Path

import pytest
import torch

from peopleseg.errors import WrongUsage
from peopleseg.systems.referring.contract import MAX_TOKENS
from training.referring.words import AT_ONCE, WordReader, minilm_reader

TEXTS = ["left", "the man in red", "the tallest person on the right"]


@pytest.fixture(scope="module")
def reader(minilm: Path) -> WordReader:
    return minilm_reader(minilm)


def test_texts_have_words_where_there_is_no_padding(reader: WordReader) -> None:
    words = reader(TEXTS)
    assert words.tokens.shape == (3, 9, 384) and words.tokens.dtype == torch.float32
    assert (~words.padding).sum(dim=1).tolist() == [3, 6, 9]
    assert not words.tokens[words.padding].any()
    assert words.tokens[~words.padding].abs().sum(dim=1).min() > 0


def test_a_text_says_the_same_whatever_it_is_read_with(reader: WordReader, minilm: Path) -> None:
    alone = minilm_reader(minilm)(TEXTS[:1]).tokens[0]
    torch.testing.assert_close(alone, reader(TEXTS).tokens[0, :3], atol=1e-5, rtol=1e-4)
    first, second, third = reader(["left", "left", "the man in red"]).tokens
    assert torch.equal(first, second) and (third - first).abs().max() > 0.1


def test_more_texts_than_are_read_at_once(minilm: Path) -> None:
    texts = [" ".join(["a"] * (1 + number % 3)) + f" {number}" for number in range(AT_ONCE + 1)]
    reader = minilm_reader(minilm)
    reader.read([])
    reader.read(texts)
    words = reader(texts)
    assert (~words.padding).sum(dim=1).min() >= 4
    one = minilm_reader(minilm)([texts[-1]])
    torch.testing.assert_close(
        words.tokens[-1][~words.padding[-1]], one.tokens[0], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("keep", [True, False])
def test_a_text_that_is_too_long_is_cut(reader: WordReader, keep: bool) -> None:
    reader = WordReader(reader._encoder, reader._file, keep=keep)
    words = reader(["left " * 600, "left"])
    assert words.tokens.shape[1] == MAX_TOKENS
    assert (~words.padding).sum(dim=1).tolist() == [MAX_TOKENS, 3]


def test_a_folder_without_an_encoder_is_told_so(minilm: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="tokenizer.json is not there; name the folder of an all"):
        minilm_reader(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((minilm / "tokenizer.json").read_bytes())
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["type"] == "WordPiece"
    with pytest.raises(WrongUsage, match="model.safetensors is not there"):
        minilm_reader(tmp_path)
