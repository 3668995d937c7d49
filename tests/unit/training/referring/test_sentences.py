"""What the text encoder says of each word, read once."""

import json
from pathlib import Path

import pytest
import torch

from peopleseg.errors import WrongUsage
from training.referring.sentences import AT_ONCE, SentenceReader

TEXTS = ["left", "the man in red", "the tallest person on the right"]
HALF = 5e-3  # which words are kept in


@pytest.fixture(scope="module")
def reader(minilm: Path) -> SentenceReader:
    reader = SentenceReader(minilm)
    reader.read(TEXTS)
    return reader


def test_texts_have_words_where_the_mask_says(reader: SentenceReader) -> None:
    words, mask = reader.batch(TEXTS, 12)
    assert words.shape == (3, 12, 384) and words.dtype == torch.float32
    assert mask.dtype == torch.int64 and mask.sum(dim=1).tolist() == [3, 6, 9]
    assert not words[mask == 0].any() and words[mask == 1].abs().sum(dim=1).min() > 0


def test_a_text_says_the_same_whatever_it_is_read_with(
    reader: SentenceReader, minilm: Path
) -> None:
    alone = SentenceReader(minilm)
    alone.read(TEXTS[:1])
    torch.testing.assert_close(
        alone.batch(TEXTS[:1], 12)[0], reader.batch(TEXTS, 12)[0][:1], atol=HALF, rtol=HALF
    )
    first, second, _ = reader.batch(["left", "left", "the man in red"], 12)[0]
    assert torch.equal(first, second)
    assert (reader.batch(["the man in red"], 12)[0][0] - first).abs().max() > 0.1


def test_a_text_is_read_once(reader: SentenceReader) -> None:
    before = reader.batch(TEXTS, 12)[0]
    reader.read([*TEXTS, "a man"])
    reader.read([])
    assert torch.equal(reader.batch(TEXTS, 12)[0], before)
    assert reader.batch(["a man"], 12)[1].sum() == 4


def test_a_batch_is_cut_at_its_length(reader: SentenceReader) -> None:
    words, mask = reader.batch(TEXTS, 4)
    assert mask.sum(dim=1).tolist() == [3, 4, 4]
    torch.testing.assert_close(words, reader.batch(TEXTS, 12)[0][:, :4])
    words, mask = reader.batch([], 4)
    assert words.shape == (0, 4, 384) and mask.shape == (0, 4)


def test_more_texts_than_are_read_at_once_and_one_too_long_to_read(minilm: Path) -> None:
    reader = SentenceReader(minilm)
    texts = [" ".join(["a"] * (1 + number % 3)) + f" {number}" for number in range(AT_ONCE + 1)]
    reader.read(texts)
    assert reader.batch(texts, 9)[1].sum(dim=1).min() >= 4
    reader.read(["left " * 600])
    assert reader.batch(["left " * 600], 64)[1].sum() == 64


def test_a_folder_without_an_encoder_is_told_so(minilm: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="tokenizer.json is not there; name the folder of an all"):
        SentenceReader(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((minilm / "tokenizer.json").read_bytes())
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["type"] == "WordPiece"
    with pytest.raises(WrongUsage, match="model.safetensors is not there"):
        SentenceReader(tmp_path)
