"""Backbones: four maps of any square, as many parameters as published; images are apart."""

import pytest
import timm
import torch

from peopleseg.errors import WrongUsage
from peopleseg.networks.referring.backbones import STRIDES, Backbone
from tests.unit.peopleseg.networks.referring.recorded import BACKBONES, SIZE, Look

CHANNELS = {
    "mit_b0": (32, 64, 160, 256),
    "mit_b1": (64, 128, 320, 512),
    "mobilevit_xxs": (24, 48, 64, 320),
    "mobilevit_xs": (48, 64, 80, 384),
    "mobilevit_s": (64, 96, 128, 640),
    "efficientformerv2_s0": (32, 48, 96, 176),
    "efficientformerv2_s1": (32, 48, 120, 224),
    "efficientformerv2_s2": (32, 64, 144, 288),
    "poolformer_s12": (64, 128, 320, 512),
    "poolformer_s24": (64, 128, 320, 512),
    "poolformer_s36": (64, 128, 320, 512),
    "swin_tiny": (96, 192, 384, 768),
    "tf_efficientnet_lite0": (24, 40, 112, 320),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_maps_have_the_published_channels_and_strides(name: str, looks: dict[str, Look]) -> None:
    look = looks[name]
    assert look.parameters == BACKBONES[name]
    assert look.channels == CHANNELS[name]
    for maps, side in ((look.alone[0], SIZE), (look.wider, 96)):
        shapes = [tuple(one.shape) for one in maps]
        assert shapes == [
            (1, channels, side // stride, side // stride)
            for channels, stride in zip(look.channels, STRIDES, strict=True)
        ]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_batch_equals_its_images_alone(name: str, looks: dict[str, Look]) -> None:
    look = looks[name]
    alone = [torch.cat(maps) for maps in zip(*look.alone, strict=True)]
    torch.testing.assert_close(list(look.together), alone, atol=1e-4, rtol=1e-3)
    assert all((one[0] - one[1]).abs().max() > 1e-4 for one in alone)


@torch.no_grad()
def test_an_efficientformer_answers_its_own_size_as_timm_does() -> None:
    torch.manual_seed(0)
    backbone = Backbone("efficientformerv2_s0").eval()
    encoder = backbone.get_submodule("model.encoder")
    for name, values in encoder.named_parameters():
        if name.endswith("attention_biases"):  # zero at first
            values.copy_(torch.randn_like(values))
    plain = timm.create_model("efficientformerv2_s0", features_only=True).eval()
    plain.load_state_dict(encoder.state_dict())
    images = torch.rand(1, 3, 224, 224)
    expected = plain(backbone.normalise(images))
    torch.testing.assert_close(list(backbone(images)), expected)
    # Of a larger square the biases are still those of near and far cells.
    larger = torch.rand(1, 3, 288, 288)
    found = backbone(larger).stride_32
    for name, values in encoder.named_parameters():
        if name.endswith("attention_biases"):
            values.zero_()
    assert (backbone(larger).stride_32 - found).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tf_efficientnet_lit0", "did you mean tf_efficientnet_lite0"),
        ("mit_b7", "did you mean mit_b"),
        ("~", "expected a known one, such as mit_b0, mit_b1, swin_tiny"),
        ("vit_tiny_patch16_224", r"strides \[16, 16, 16\]; expected a network with maps"),
    ],
)
def test_a_name_that_cannot_be_used_is_told_so(name: str, said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        Backbone(name)
