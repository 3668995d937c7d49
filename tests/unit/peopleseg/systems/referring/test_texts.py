"""Texts of a request become tokens, or one message that names the text."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import peopleseg.networks  # noqa: F401  (before transformers: it declares missing operators)
from peopleseg.errors import InvalidInput
from peopleseg.networks.referring.text_encoders import PACKAGE, PACKAGE_MODULE, packaged_model
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.referring.contract import MAX_CHARACTERS, MAX_PROMPTS, MAX_TOKENS
from peopleseg.systems.referring.steps.tokenize import Tokenize
from peopleseg.systems.referring.texts import checked_texts
from peopleseg.systems.step import Arrays
from tests.data.small_minilm import BEGIN, END, UNKNOWN, write_tokenizer

ALL = ("tokens", "token_mask")


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Tokenize:
    return Tokenize(str(write_tokenizer(tmp_path_factory.mktemp("tokenizer"))))


def asked(*texts: str | bytes) -> NDArray[np.object_]:
    encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    return np.array(encoded, dtype=np.object_)


def compute(step: Tokenize, text: NDArray[np.object_]) -> Arrays:
    return step.compute(ALL, text=text, letterbox=Letterbox.fit(4, 3).to_array()[None])


def tokens(step: Tokenize, *texts: str | bytes) -> list[list[int]]:
    """Of each text, those that are there."""
    found = compute(step, asked(*texts))
    numbers, there = found["tokens"], found["token_mask"]
    assert numbers.shape == there.shape == (len(texts), MAX_TOKENS)
    assert numbers.dtype == there.dtype == np.int64
    assert not numbers[there == 0].any()
    counts = there.sum(axis=1).tolist()
    assert all(row[:count].all() for row, count in zip(there, counts, strict=True))
    return [row[:count].tolist() for row, count in zip(numbers, counts, strict=True)]


def test_a_text_becomes_its_words_between_begin_and_end(step: Tokenize) -> None:
    (found,) = tokens(step, "the person")
    assert found == [BEGIN, 4, 5, END]
    assert tokens(step, "  The PERSON\n") == [found]
    tallest = tokens(step, "tallest")[0]
    assert tallest[1:-1] == [12, 13]  # tall, ##est


def test_texts_together_are_as_each_alone(step: Tokenize) -> None:
    texts = ["the man in red", "left", "the tallest person on the right in the red"]
    assert tokens(step, *texts) == [tokens(step, text)[0] for text in texts]
    assert len(tokens(step, *texts)[2]) == 12  # more than the file itself would leave


@pytest.mark.parametrize(
    "text",
    ["😀", "👩‍🦰 red", "левый человек", "左边的人", "الشخص", "naïve café", "\u200bred", "a\x00b"],
)
def test_any_text_has_an_answer(step: Tokenize, text: str) -> None:
    (found,) = tokens(step, text)
    assert (found[0], found[-1]) == (BEGIN, END)


def test_what_stands_around_a_text_is_a_word_inside(step: Tokenize) -> None:
    (found,) = tokens(step, "left [SEP] [CLS] red")
    assert found.count(BEGIN) == found.count(END) == 1


def test_one_letter_is_a_text(step: Tokenize) -> None:
    (found,) = tokens(step, "x")
    assert len(found) == 3 and UNKNOWN not in found


@pytest.mark.parametrize("length", [512, 10_000])
def test_a_long_text_is_refused_with_how_long_it_is(step: Tokenize, length: int) -> None:
    words = ("a " * length)[:length]
    expected = f"text 1 has {len(words.split()) + 2} tokens"
    with pytest.raises(InvalidInput, match=re.escape(expected) + ".*expected at most 64"):
        compute(step, asked("the man", words))
    (found,) = tokens(step, "x" * length)  # one word of which the vocabulary has nothing
    assert found == [BEGIN, UNKNOWN, END]


def test_a_text_may_fill_all_tokens(step: Tokenize) -> None:
    fits = "left " * (MAX_TOKENS - 2)
    assert len(tokens(step, fits)[0]) == MAX_TOKENS
    with pytest.raises(InvalidInput, match="text 0 has 65 tokens"):
        compute(step, asked(fits + "left"))


def test_a_text_that_would_take_long_to_read_is_refused_unread(step: Tokenize) -> None:
    tokens(step, "x" * MAX_CHARACTERS)
    for long in ("x" * (MAX_CHARACTERS + 1), "左" * (MAX_CHARACTERS + 1)):
        expected = f"text 1 has {MAX_CHARACTERS + 1} characters, expected at most {MAX_CHARACTERS}"
        with pytest.raises(InvalidInput, match=expected):
            checked_texts([b"left", long.encode()])


@pytest.mark.parametrize("nothing", ["", " ", "\t\n", "\u00a0\u3000"])
def test_a_text_that_says_nothing_is_refused(step: Tokenize, nothing: str) -> None:
    with pytest.raises(InvalidInput, match="text 1 is empty; say something of the person"):
        compute(step, asked("left", nothing))


@pytest.mark.parametrize("unseen", ["\u200b", " \ufeff\u200d ", "\x00\x07", "\ufffd"])
def test_a_text_without_a_word_is_refused(step: Tokenize, unseen: str) -> None:
    with pytest.raises(InvalidInput, match="text 1 has no word, .*; say something of the person"):
        compute(step, asked("left", unseen))


@pytest.mark.parametrize("wrong", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_what_is_not_utf_8_is_refused(step: Tokenize, wrong: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"text 1 is not UTF-8 \(.+\)"):
        compute(step, asked("left", wrong))


@pytest.mark.parametrize("count", [0, MAX_PROMPTS + 1])
def test_no_text_and_too_many_are_refused(step: Tokenize, count: int) -> None:
    with pytest.raises(InvalidInput, match=f"text has {count} prompts, expected 1 to 64"):
        compute(step, asked(*["left"] * count))


def test_texts_are_kept_as_they_are() -> None:
    texts = ["left", " left ", "Links, bitte!", "左"] * (MAX_PROMPTS // 4)
    assert checked_texts([text.encode() for text in texts]) == texts


@pytest.mark.skipif(find_spec(PACKAGE_MODULE) is None, reason=f"{PACKAGE} is not installed")
def test_the_published_tokenizer_gives_the_published_numbers() -> None:
    step = Tokenize(str(Path(packaged_model()) / "tokenizer.json"))
    assert tokens(step, "The person on the left") == [[101, 1996, 2711, 2006, 1996, 2187, 102]]
    assert [len(one) for one in tokens(step, "😀", "x" * 10_000)] == [3, 3]
