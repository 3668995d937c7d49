"""The semantic networks: as large as published, part by part; images do not see one another."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from peopleseg.networks.checkpoint import CheckpointError, load_network, save_network
from peopleseg.networks.resizing import resized
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.semantic.pair import DeepLabPair

# As published; the optimised decoder has two equal stages.
PARTS: dict[Any, dict[str, int]] = {
    "original": {
        "backbone": 927_008,
        "low_projection": 864,
        "pyramid": 4_606_976,
        "decoder": 1_291_264,
        "classifier": 5_397,
    },
    "optimised": {
        "backbone": 927_008,
        "low_projection": 576,
        "mid_projection": 832,
        "pyramid": 1_541_376,
        "decoder": 2 * 22_176,
        "classifier": 2_709,
    },
}
TOTALS = {"original": 6_831_509, "optimised": 2_516_853}
CLASSES = ("background", "person", "dog")


def count(module: nn.Module) -> int:
    return sum(values.numel() for values in module.parameters())


def pair(*variants: Any) -> DeepLabPair:
    torch.manual_seed(0)
    return DeepLabPair([{"variant": one, "classes": CLASSES} for one in variants]).eval()


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("variant", PARTS)
def test_parameters_are_as_many_as_published(variant: Any, dilated: bool) -> None:
    network = DeepLab(variant, dilated=dilated)
    assert {name: count(part) for name, part in network.named_children() if count(part)} == PARTS[
        variant
    ]
    assert count(network) == TOTALS[variant]


@pytest.mark.parametrize(("dilated", "stride"), [(False, 32), (True, 16)])
def test_maps_have_the_published_strides(dilated: bool, stride: int) -> None:
    with torch.no_grad():
        maps = DeepLab("optimised", dilated=dilated).eval().maps(torch.rand(1, 3, 128, 64))
    assert maps.low.shape == (1, 16, 32, 16)
    assert maps.mid.shape == (1, 24, 16, 8)
    assert maps.high.shape == (1, 576, 128 // stride, 64 // stride)


@pytest.mark.parametrize("variant", PARTS)
@torch.no_grad()
def test_a_batch_equals_its_images_alone(variant: Any) -> None:
    torch.manual_seed(0)
    network, images = DeepLab(variant, CLASSES).eval(), torch.rand(3, 3, 64, 96)
    together = network(images)
    assert together.shape == (3, 3, 64, 96)
    alone = torch.cat([network(one) for one in images.split(1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_pair_is_the_mean_of_its_networks_probabilities() -> None:
    network, images = pair("optimised", "original"), torch.rand(2, 3, 64, 64)
    each = [member.at_stride_4(images).softmax(dim=1) for member in network.members]
    assert (each[0] - each[1]).abs().max() > 1e-4
    found = network.at_stride_4(images)
    torch.testing.assert_close(found.exp(), (each[0] + each[1]) / 2)
    torch.testing.assert_close(network(images), resized(found, (64, 64)))


def test_a_pair_is_of_the_same_classes() -> None:
    dims = [{"classes": CLASSES}, {"classes": CLASSES[::-1]}]
    for wrong in (dims, dims[:1], []):
        with pytest.raises(ValueError, match="two networks or more, of the same classes"):
            DeepLabPair(wrong)


def test_a_pair_is_built_again_of_its_checkpoint(tmp_path: Path) -> None:
    network, path = pair("optimised", "optimised"), tmp_path / "pair.ckpt"
    save_network(path, "deeplab_pair", network, dims=network.dims, size=320)
    found = load_network(path)
    assert found.size == 320
    torch.testing.assert_close(found.network.state_dict(), network.state_dict(), atol=0, rtol=0)
    wrong = {"networks": network.dims["networks"][:1]}
    save_network(path, "deeplab_pair", network, dims=wrong)
    with pytest.raises(CheckpointError, match="two networks or more"):
        load_network(path)


@pytest.mark.parametrize("size_hw", [(8, 12), (16, 24), (32, 48), (64, 96), (17, 24), (8, 13)])
def test_resizing_by_a_factor_is_resizing_to_the_size(size_hw: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, 8, 12)
    expected = F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized(maps, size_hw), expected)
