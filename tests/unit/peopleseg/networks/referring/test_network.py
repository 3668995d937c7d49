"""The whole network: ten published combinations by size, and every combination by name."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peopleseg.errors import InvalidInput, WrongUsage
from peopleseg.networks.referring import network as module
from peopleseg.networks.referring.backbones import Maps
from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.families import FAMILIES
from peopleseg.networks.referring.network import ReferringNetwork, every_group, most_likely
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.pose_transformer import PoseTransformer
from tests.unit.peopleseg.networks.referring.recorded import (
    BACKBONES,
    IDS,
    IMAGES,
    MASK,
    SIZE,
    TEXT_ENCODERS,
    Look,
    Reading,
    Replayed,
    count,
)

# Transformer, text encoder and backbone, and the whole. The published sums, in millions, are those
# of the comments; the networks here, instantiated, are as large to the last parameter but for
# TITE's, which the published sum leaves out.
COMBINATIONS = {
    1: ("fully_conv_optim", "tinybert", "mit_b0", 26_542_882),  # 26.54
    2: ("fully_conv_optim", "minilm", "mit_b0", 34_942_714),  # 34.94
    3: ("fully_conv_optim", "minilm", "mit_b1", 45_542_234),  # 45.54
    4: ("efficient", "minilm", "mit_b0", 39_901_626),  # 39.90
    5: ("fully_conv_optim", "distilbert", "mit_b0", 78_788_986),  # 78.79
    6: ("efficient", "minilm", "mit_b1", 50_501_146),  # 50.50
    7: ("fully_conv_optim", "tite", "mit_b0", 12_426_106 + 108_496_896),  # 12.43 without TITE
    8: ("fully_conv", "minilm", "mit_b0", 41_207_738),  # 41.21
    9: ("original", "minilm", "mit_b0", 56_215_674),  # 56.22
    10: ("original", "roberta", "swin_tiny", 184_030_484),  # 184.0
}
PROJECTIONS = {"mit_b0": 715_776, "mit_b1": 1_428_480, "swin_tiny": 2_116_608}
PAIRS = [(transformer, backbone) for transformer in TRANSFORMERS for backbone in BACKBONES]


@pytest.mark.parametrize("number", COMBINATIONS)
def test_combinations_are_as_large_as_published(number: int) -> None:
    transformer, text_encoder, backbone, whole = COMBINATIONS[number]
    with torch.device("meta"):
        network = ReferringNetwork(transformer, text_encoder, backbone)
    assert count(network) == whole
    assert count(network.backbone) == BACKBONES[backbone]
    assert count(network.text_encoder) == TEXT_ENCODERS[text_encoder]
    assert count(network.projections) == PROJECTIONS[backbone]


def shallow(name: str) -> PoseTransformer:
    """The first layers of each kind alone: what differs between layers is no matter here."""
    torch.manual_seed(0)
    found = TRANSFORMERS[name](20).eval()
    encoder_layers = found.encoder.get_submodule("layers")
    assert isinstance(encoder_layers, nn.ModuleList)
    for layers in (encoder_layers, found.layers, found.heads):
        del layers[1:]
    return found


@pytest.fixture(scope="module")
def transformers() -> dict[str, PoseTransformer]:
    return {name: shallow(name) for name in TRANSFORMERS}


@pytest.mark.parametrize(("transformer", "backbone"), PAIRS)
@torch.no_grad()
def test_every_combination_answers(
    transformer: str,
    backbone: str,
    looks: dict[str, Look],
    readings: dict[str, Reading],
    transformers: dict[str, PoseTransformer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what the large parts answered when each was built by its name."""
    monkeypatch.setitem(TRANSFORMERS, transformer, lambda _: transformers[transformer])
    look, image_of = looks[backbone], torch.zeros(1, dtype=torch.long)
    answers = []
    for text_encoder, reading in readings.items():
        monkeypatch.setattr(
            module, "Backbone", lambda *_: Replayed(look.alone[0], channels=look.channels)
        )
        monkeypatch.setattr(
            module, "TextEncoder", lambda _, it=reading: Replayed(it.alone[0], width=it.width)
        )
        torch.manual_seed(0)
        network = ReferringNetwork(transformer, text_encoder, backbone).eval()
        answers += network.decide(
            network.vision(IMAGES[:1]), network.text(IDS[:1], MASK[:1]), image_of
        )[-1:]
    assert len(answers) == len(TEXT_ENCODERS)
    for answer in answers:
        check(answer, prompts=1, masks=1)
    assert len({float(answer.logits.sum()) for answer in answers}) == len(answers)


def check(answer: RefOutput, prompts: int, masks: int) -> None:
    shapes = [None if values is None else tuple(values.shape) for values in answer]
    assert shapes == [
        (prompts, 20, 2),
        (prompts, 20, 4),
        (prompts, 20, 17, 2),
        (prompts, 20, 17),
        (prompts, masks, SIZE, SIZE),
    ]
    assert all(values.isfinite().all() for values in answer if values is not None)


@pytest.fixture(scope="module")
def network() -> ReferringNetwork:
    """A small one whose backbone and text encoder are its own."""
    torch.manual_seed(0)
    return ReferringNetwork("efficient", "tinybert", "mit_b0", negative_points=True).eval()


def asked(prompts: int) -> dict[str, Tensor]:
    """Expressions and points by turns, of two images by turns."""
    rows = torch.arange(prompts)
    is_text = rows % 2 == 0
    texts, others = int(is_text.sum()), int((~is_text).sum())
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 2000, (texts, 4), generator=generator)
    points = torch.rand(others, 3, 3, generator=generator) * SIZE
    points[..., 2] = torch.tensor([1.0, 0, -1])
    return {
        "image_of": rows // 2 % 2,
        "is_text": is_text,
        "ids": ids,
        "mask": torch.ones_like(ids),
        "points": points,
    }


def of(prompts: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    """One of them alone."""
    is_text = prompts["is_text"]
    before = int(is_text[:row].sum()) if is_text[row] else int((~is_text[:row]).sum())
    texts, points = (
        (slice(before, before + 1), slice(0))
        if is_text[row]
        else (
            slice(0),
            slice(before, before + 1),
        )
    )
    return {
        "image_of": prompts["image_of"][row, None],
        "is_text": is_text[row, None],
        "ids": prompts["ids"][texts],
        "mask": prompts["mask"][texts],
        "points": prompts["points"][points],
    }


@torch.no_grad()
def test_a_prompt_is_answered_among_ten_as_alone(network: ReferringNetwork) -> None:
    prompts = asked(10)
    together = network(IMAGES, **prompts)
    assert len(together) == 1 + 6
    check(together[-1], prompts=10, masks=1)
    for row in (4, 7):  # an expression and points
        alone = network(IMAGES, **of(prompts, row))
        for one, other in zip(together, alone, strict=True):
            mine = [None if values is None else values[row, None] for values in one]
            torch.testing.assert_close(mine, list(other), atol=2e-4, rtol=1e-3)
    different = [values[0] - values[1] for values in together[-1] if values is not None]
    assert all(values.abs().max() > 0 for values in different)


@torch.no_grad()
def test_prompts_of_an_image_share_one_look(network: ReferringNetwork) -> None:
    looked: list[int] = []
    hook = network.backbone.register_forward_hook(lambda *args: looked.append(len(args[1][0])))
    network(IMAGES[:1], **asked(4) | {"image_of": torch.zeros(4, dtype=torch.long)})
    hook.remove()
    assert looked == [1]


@torch.no_grad()
def test_masks_are_those_of_the_groups_that_are_chosen(network: ReferringNetwork) -> None:
    prompts = asked(2)
    maps = network.vision(IMAGES)
    read = network.prompts(maps, **prompts)
    best = network.decide(maps, read, prompts["image_of"])[-1]
    every = network.decide(maps, read, prompts["image_of"], every_group)[-1]
    check(every, prompts=2, masks=20)
    assert best.masks is not None and every.masks is not None
    for row, group in enumerate(most_likely(best)[:, 0]):
        torch.testing.assert_close(
            best.masks[row, 0], every.masks[row, group], atol=1e-4, rtol=1e-3
        )
    assert torch.equal(most_likely(best)[:, 0], best.logits[..., 0].argmax(dim=1))


@torch.no_grad()
def test_no_prompt_has_no_answer(network: ReferringNetwork) -> None:
    outputs = network(IMAGES, **asked(0))
    assert len(outputs) == 1 + 6
    check(outputs[-1], prompts=0, masks=1)


def test_every_parameter_of_the_network_learns(network: ReferringNetwork) -> None:
    network.zero_grad()
    outputs = network(IMAGES, **asked(3))
    losses = [
        values.float().mean() for output in outputs for values in output if values is not None
    ]
    torch.stack(losses).sum().backward()
    still = {name for name, values in network.named_parameters() if values.grad is None}
    network.zero_grad()
    assert not still


def test_dims_build_it_again(network: ReferringNetwork) -> None:
    dims: dict[str, Any] = json.loads(json.dumps(network.dims))
    assert dims["negative_points"] and dims["groups"] == 20
    with torch.device("meta"):
        again = FAMILIES["referring"](**dims)
    shapes = {name: values.shape for name, values in network.state_dict().items()}
    assert {name: values.shape for name, values in again.state_dict().items()} == shapes


def test_groups_are_as_many_as_asked_for() -> None:
    with torch.device("meta"):
        network = ReferringNetwork("efficient", "tinybert", "mit_b0", groups=5, recompute=True)
    assert network.transformer.proposals.groups == 5 and network.transformer.recompute
    with pytest.raises(WrongUsage, match="transformer is 'eficient'.*did you mean efficient"):
        ReferringNetwork("eficient")
    with pytest.raises(WrongUsage, match="groups is 0; expected 1 or more"):
        ReferringNetwork(groups=0)


@pytest.mark.parametrize("size", [(64, 96), (80, 80)])
def test_images_are_squares_of_whole_cells(
    network: ReferringNetwork, size: tuple[int, int]
) -> None:
    with pytest.raises(InvalidInput, match=f"{size[1]} x {size[0]} pixels; expected squares"):
        network.vision(torch.rand(1, 3, *size))


def test_maps_are_named_by_their_strides(looks: dict[str, Look]) -> None:
    assert isinstance(looks["mit_b0"].together, Maps)
    assert looks["mit_b0"].together.stride_16.shape[2] == SIZE // 16
