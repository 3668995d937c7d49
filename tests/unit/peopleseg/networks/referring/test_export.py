"""What a network decides, as a graph for any number of images, prompts and tokens."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from peopleseg.networks.referring.backbones import Maps
from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.prompts import Prompts

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
    for layers in (encoder_layers, network.transformer.layers, network.transformer.heads):
        del layers[2:]  # the others are as these, and exporting takes long
    deciding, path = Deciding(network).eval(), tmp_path / "decide.onnx"
    axes = {name: {0: "images"} for name in Maps._fields}
    axes |= {name: {0: "prompts"} for name in (*INPUTS[4:], *OUTPUTS)}
    axes |= {name: {0: "prompts", 1: "tokens"} for name in ("tokens", "positions", "padding")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of sizes that are fixed, as they are meant to be
        torch.onnx.export(
            deciding,
            example(images=2, prompts=2, tokens=4),
            str(path),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for sizes in ((2, 2, 4), (1, 1, 1), (3, 5, 6)):
        tensors = example(*sizes)
        feed = {name: one.numpy() for name, one in zip(INPUTS, tensors, strict=True)}
        with torch.no_grad():
            expected = deciding(*tensors)
        for found, own in zip(session.run(list(OUTPUTS), feed), expected, strict=True):
            assert own is not None and found.shape == tuple(own.shape)
            np.testing.assert_allclose(found, own.numpy(), atol=1e-3)
