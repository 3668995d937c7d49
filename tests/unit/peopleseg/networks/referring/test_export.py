"""What a network decides, as a graph for any number of images, prompts and tokens."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from peopleseg.networks.referring.backbones import Maps
from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.prompts import PointPrompts, Prompts
from peopleseg.networks.referring.tite import TiteLayer

SIZE = 64
CHANNELS = (32, 64, 160, 256)  # of mit_b0
INPUTS = (*Maps._fields, *Prompts._fields, "image_of")
OUTPUTS = ("logits", "boxes_cxcywh", "keypoints", "visibility", "masks")


class Deciding(nn.Module):
    def __init__(self, network: ReferringNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        maps, prompts, image_of = Maps(*tensors[:4]), Prompts(*tensors[4:9]), tensors[9]
        return tuple(self.network.decide(maps, prompts, image_of)[-1])


def example(images: int, prompts: int, tokens: int) -> tuple[Tensor, ...]:
    """Expressions and points by turns; the first prompt has a token less."""
    generator = torch.Generator().manual_seed(prompts)
    maps = [
        torch.randn(images, channels, SIZE // stride, SIZE // stride, generator=generator)
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]
    words = torch.randn(2, prompts, tokens, 256, generator=generator)
    padding = torch.zeros(prompts, tokens, dtype=torch.bool)
    padding[0, -1] = tokens > 1
    rows = torch.arange(prompts)
    sentence = torch.randn(prompts, 256, generator=generator)
    return (*maps, *words, padding, sentence, rows % 2 == 0, rows % images)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_graph_decides_as_the_network_does(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ReferringNetwork(name, "tinybert", "mit_b0")
    encoder_layers = network.transformer.encoder.get_submodule("layers")
    assert isinstance(encoder_layers, nn.ModuleList)
    # The others are as these, and exporting takes long.
    del encoder_layers[1:], network.transformer.layers[2:], network.transformer.heads[2:]
    deciding = settled(Deciding(network))
    axes = {name: {0: "images"} for name in Maps._fields}
    axes |= {name: {0: "prompts"} for name in (*INPUTS[4:], *OUTPUTS)}
    axes |= {name: {0: "prompts", 1: "tokens"} for name in ("tokens", "positions", "padding")}
    examples = [example(*sizes) for sizes in ((2, 2, 4), (1, 1, 1), (3, 6, 5))]
    assert_graph_answers_alike(deciding, axes, OUTPUTS, examples, tmp_path)


def settled(deciding: Deciding) -> Deciding:
    """With norms that know a batch: before they do, `fully_conv` finds all cells about alike.

    Which cells propose would then be a matter of rounding.
    """
    for module in deciding.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        deciding.train()(*example(images=2, prompts=4, tokens=3))
    return deciding.eval()


def test_a_graph_reads_points_as_the_layer_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = Several(PointPrompts(8, negative_points=True)).eval()
    axes = {
        "stride_16": {0: "images"},
        "image_of": {0: "prompts"},
        "points": {0: "prompts", 1: "points"},
    }
    examples = []
    for images, prompts, points in ((2, 2, 3), (1, 4, 1), (3, 1, 5)):
        places = torch.cat(
            (64 * torch.rand(prompts, points, 2), torch.ones(prompts, points, 1)), dim=2
        )
        places[:, 1:, 2] = torch.randint(-1, 2, (prompts, points - 1))
        image_of = torch.arange(prompts) % images
        examples.append((torch.randn(images, 8, 4, 4), image_of, places))
    outputs = tuple(f"{name}_of_points" for name in Prompts._fields)
    assert_graph_answers_alike(layer, axes, outputs, examples, tmp_path)


def test_a_graph_halves_texts_of_any_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = Chain([TiteLayer(halves=False), TiteLayer(halves=True)]).eval()
    axes = {name: {0: "texts", 1: "tokens"} for name in ("words", "there")}
    examples = []
    for texts, length in ((2, 6), (1, 1), (3, 7)):
        there = torch.ones(texts, length, dtype=torch.bool)
        there[0, (length + 1) // 2 :] = False
        examples.append((torch.randn(texts, length, 768), there))
    assert_graph_answers_alike(layers, axes, ("halves", "still"), examples, tmp_path)


class Several(nn.Module):
    """A layer whose answers are a plain tuple."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.layer(*tensors))


class Chain(nn.ModuleList):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        for layer in self:
            tensors = layer(*tensors)
        return tensors


def assert_graph_answers_alike(
    module: nn.Module,
    axes: dict[str, dict[int, str]],
    outputs: tuple[str, ...],
    examples: Sequence[tuple[Tensor, ...]],
    folder: Path,
) -> None:
    """Traced on the first of the examples. axes: the open ones of all tensors, inputs first."""
    inputs = [name for name in axes if name not in outputs]
    path = folder / "graph.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of sizes that are fixed, as they are meant to be
        torch.onnx.export(
            module,
            examples[0],
            str(path),
            input_names=inputs,
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for tensors in examples:
        feed = {name: one.numpy() for name, one in zip(inputs, tensors, strict=True)}
        with torch.no_grad():
            expected = module(*tensors)
        for found, own in zip(session.run(list(outputs), feed), expected, strict=True):
            assert found.shape == tuple(own.shape)
            np.testing.assert_allclose(found.astype(float), own.double().numpy(), atol=1e-3)
