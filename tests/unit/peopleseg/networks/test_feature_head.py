"""The mask head on roi-aligned detector features."""

from typing import Any

import pytest
import torch
from torch import nn

from peopleseg.networks.people.feature_head import (
    CLASSES,
    MASK_SIZE,
    ROI_FEATURE_SIZE,
    ResidualBlock,
    RoiFeatureHead,
)


@pytest.fixture
def head() -> RoiFeatureHead:
    """A narrow head with no norm left an identity."""
    torch.manual_seed(0)
    head = RoiFeatureHead(in_channels=4)
    for module in head.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return head


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_the_head_has_the_published_counts() -> None:
    with torch.device("meta"):
        head: Any = RoiFeatureHead()
    assert count(head) == 5_791_555
    assert count(*head.project[:3]) == 262_912
    assert [count(block) for block in (*head.project[3:], head.up_double[-1])] == 3 * [1_181_184]
    assert count(*head.up_double[:3]) == 1_049_344
    assert count(*head.up_fourfold[:3]) == 524_672
    assert count(*head.up_fourfold[3:9]) == 295_680
    assert count(*head.up_fourfold[9:]) == 73_920
    assert (count(head.fusion), count(head.classifier)) == (41_088, 387)


def test_masks_are_twice_the_features_size() -> None:
    with torch.device("meta"):
        head = RoiFeatureHead()
        features = torch.empty(3, 1024, ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
    assert head(features).shape == (3, CLASSES, MASK_SIZE, MASK_SIZE) == (3, 3, 56, 56)


def test_the_head_answers_each_roi_by_itself_also_in_training(head: RoiFeatureHead) -> None:
    features = torch.randn(3, 4, 6, 6)
    with torch.no_grad():
        together = head.train()(features)
        for row in range(3):
            alone = head(features[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)


def test_nobody_in_the_image_gives_no_masks(head: RoiFeatureHead) -> None:
    assert head.eval()(torch.zeros(0, 4, 6, 6)).shape == (0, CLASSES, 12, 12)


def test_a_norm_is_over_the_channels_and_pixels_of_one_roi() -> None:
    block = ResidualBlock(5)
    nn.init.normal_(block.norm1.weight)
    nn.init.normal_(block.norm1.bias)
    x = torch.randn(2, 5, 4, 3) * 3 + 1
    for roi, normed in zip(x, block.norm1(x), strict=True):
        mean, variance = roi.mean(), ((roi - roi.mean()) ** 2).mean()
        plain = (roi - mean) / (variance + 1e-5).sqrt()
        scale, shift = block.norm1.weight.view(-1, 1, 1), block.norm1.bias.view(-1, 1, 1)
        torch.testing.assert_close(normed, plain * scale + shift)


def test_the_wide_skip_reaches_the_masks(head: RoiFeatureHead) -> None:
    features = torch.randn(1, 4, 6, 6)
    with torch.no_grad():
        before = head(features)
        head.fusion.weight[:, 64:] = 0  # the skip's channels
        assert not torch.allclose(before, head(features))


def test_convolutions_start_with_the_variance_of_kaiming_fan_out() -> None:
    torch.manual_seed(0)
    head: Any = RoiFeatureHead(in_channels=8)
    convolution = head.up_double[-1].conv1  # 256 to 256 channels, 3 x 3
    assert convolution.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)
    biases: list[Any] = [
        m.bias for m in head.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    assert len(biases) == 14 and all(not bias.any() for bias in biases)


def test_every_weight_is_trained(head: RoiFeatureHead) -> None:
    head(torch.randn(2, 4, 6, 6)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
