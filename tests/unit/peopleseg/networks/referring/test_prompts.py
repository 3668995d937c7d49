"""Prompts: points are read where they lie, and each kind is told to the maps by its weights."""

import pytest
import torch

from peopleseg.errors import InvalidInput
from peopleseg.networks.referring.fusion import PromptFusion
from peopleseg.networks.referring.prompts import PointPrompts, Prompts, TextPrompts, joined
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from peopleseg.networks.referring.text_encoders import TextFeatures
from tests.unit.peopleseg.networks.referring.recorded import count

CHANNELS = 12
SIZES = ((4, 4), (2, 2), (1, 1), (1, 1))


def points(negative_points: bool = False) -> PointPrompts:
    torch.manual_seed(0)
    return PointPrompts(CHANNELS, negative_points).eval()


def texts(prompts: int, words: int, padded: int = 0) -> Prompts:
    padding = torch.zeros(prompts, words, dtype=torch.bool)
    padding[:, words - padded :] = padded > 0
    features = TextFeatures(
        torch.randn(prompts, words, CHANNELS), padding, torch.randn(prompts, CHANNELS)
    )
    return TextPrompts(CHANNELS).eval()(features)  # type: ignore[no-any-return]


def levels(prompts: int) -> Pyramid:
    return pyramid([torch.randn(prompts, 256, *size) for size in SIZES])


def test_parameters_are_as_many_as_published() -> None:
    assert count(TextPrompts(768)) == 2 * (768 * 256 + 768)
    assert count(PointPrompts(384)) == 99_072 + 66_304
    assert count(PointPrompts(384, negative_points=True)) == 99_072 + 66_304 + 256
    assert count(PromptFusion()) == 526_336


def test_a_point_is_what_the_map_of_its_image_is_there() -> None:
    layer, maps = points(), torch.randn(2, CHANNELS, 4, 4)
    # Corners of a square of 64 pixels, and a third of the way along its upper edge.
    places = torch.tensor([[0.0, 0, 1], [64, 64, 1], [64 / 3, 0, 1]])
    found = layer(maps, torch.tensor([1, 0]), places.expand(2, -1, -1))
    for row, image in enumerate((maps[1], maps[0])):
        seen = torch.stack((image[:, 0, 0], image[:, 3, 3], image[:, 0, 1]))
        torch.testing.assert_close(found.tokens[row], layer.points(seen), atol=1e-5, rtol=1e-4)
        sentence = layer.sentence(layer.points(seen).mean(dim=0))
        torch.testing.assert_close(found.sentence[row], sentence, atol=1e-5, rtol=1e-4)
    assert not found.padding.any() and not found.is_text.any()


def test_padding_points_say_nothing() -> None:
    layer, maps, image = points(), torch.randn(1, CHANNELS, 4, 4), torch.zeros(1, dtype=torch.long)
    place = torch.tensor([[[20.0, 30, 1]]])
    padded = torch.cat((place, torch.tensor([[[5.0, 5, -1]]])), dim=1)
    one, two = layer(maps, image, place), layer(maps, image, padded)
    assert two.padding.tolist() == [[False, True]]
    torch.testing.assert_close(one.sentence, two.sentence)
    fusion, memory = PromptFusion(), levels(1)
    torch.testing.assert_close(fusion(memory, one).tokens, fusion(memory, two).tokens)


def test_a_point_beside_the_person_is_another_than_on_it() -> None:
    maps, image = torch.randn(1, CHANNELS, 4, 4), torch.zeros(1, dtype=torch.long)
    on = torch.tensor([[[20.0, 30, 1], [40, 8, 1]]])
    beside = on * torch.tensor([[[1.0], [1]]])
    beside[0, 1, 2] = 0
    with pytest.raises(InvalidInput, match="label 0, not on the person, which this network"):
        points()(maps, image, beside)
    layer = points(negative_points=True)
    with torch.no_grad():
        layer.negative.copy_(torch.randn(256))  # type: ignore[union-attr]
    first, second = layer(maps, image, on), layer(maps, image, beside)
    torch.testing.assert_close(first.tokens[:, 0], second.tokens[:, 0])
    assert (first.tokens[:, 1] - second.tokens[:, 1]).abs().max() > 0.1
    alone = layer(maps, image, on[:, :1])
    torch.testing.assert_close(second.sentence, alone.sentence)  # the person is where it is


def test_prompts_of_both_kinds_come_in_their_order() -> None:
    torch.manual_seed(0)
    text = texts(2, words=3)
    maps, images = torch.randn(2, CHANNELS, 4, 4), torch.tensor([1, 0])
    point = points()(maps, images, torch.tensor([[[9.0, 9, 1]], [[50, 2, 1]]]))
    is_text = torch.tensor([False, True, True, False])
    found = joined(text, point, is_text)
    assert torch.equal(found.is_text, is_text)
    for row, (source, index) in enumerate(((point, 0), (text, 0), (text, 1), (point, 1))):
        length = source.tokens.shape[1]
        assert torch.equal(found.sentence[row], source.sentence[index])
        assert torch.equal(found.tokens[row, :length], source.tokens[index])
        assert torch.equal(found.positions[row, :length], source.positions[index])
        assert torch.equal(found.padding[row, :length], source.padding[index])
        assert found.padding[row, length:].all()


def test_fusion_is_torchs_attention_with_weights_of_the_kind() -> None:
    torch.manual_seed(0)
    fusion, memory = PromptFusion(), levels(2)
    with torch.no_grad():
        fusion.biases.copy_(torch.randn_like(fusion.biases))
    prompts = texts(2, words=5, padded=2)._replace(is_text=torch.tensor([True, False]))
    found = fusion(memory, prompts)
    assert found.sizes_hw == SIZES
    for row, kind in ((0, 0), (1, 1)):
        plain = torch.nn.MultiheadAttention(256, 8, batch_first=True)
        with torch.no_grad():
            plain.in_proj_weight.copy_(fusion.weights[kind, :3].flatten(0, 1))
            plain.in_proj_bias.copy_(fusion.biases[kind, :3].flatten())
            plain.out_proj.weight.copy_(fusion.weights[kind, 3])
            plain.out_proj.bias.copy_(fusion.biases[kind, 3])
        own = [values[row, None] for values in prompts]
        key, tokens = own[0] + own[1], memory.tokens[row, None]
        seen, _ = plain(tokens, key, own[0], key_padding_mask=own[2])
        torch.testing.assert_close(found.tokens[row, None], tokens + seen, atol=1e-5, rtol=1e-4)


def test_words_have_positions_of_their_own() -> None:
    short, long = texts(1, words=3), texts(1, words=5, padded=2)
    torch.testing.assert_close(short.positions, long.positions[:, :3])
    assert len(short.positions[0].unique(dim=0)) == 3
