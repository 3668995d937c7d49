"""Masks are those of the convolutions that each group describes, written out one by one."""

import torch
from torch.nn import functional as F

from peopleseg.networks.referring.mask_head import (
    CHANNELS,
    DESCRIBED,
    MaskHead,
    Refinement,
    described_masks,
    features_at_8,
)
from peopleseg.networks.referring.pyramid import pyramid
from tests.unit.peopleseg.networks.referring.recorded import count

SIZES = ((8, 8), (4, 4), (2, 2), (1, 1))


def test_parameters_are_as_many_as_published() -> None:
    assert DESCRIBED == 4_416
    for channels, refinement in (((96, 192), 50_752), ((32, 64), 23_104), ((64, 128), 36_928)):
        head = MaskHead(*channels)
        assert count(head.controller) == 1_266_496
        assert count(head.refine_8) + count(head.refine_4) == refinement


def test_described_masks_are_those_of_two_convolutions() -> None:
    torch.manual_seed(0)
    features, described = torch.randn(2, 256, 3, 5), torch.randn(2, 4, DESCRIBED)
    centres = torch.rand(2, 4, 2)
    found = described_masks(features, (3, 5), described, centres)
    for prompt in range(2):
        for group in range(4):
            weights = described[prompt, group]
            first, weights = weights[: 258 * 16].view(16, 258, 1, 1), weights[258 * 16 :]
            second, weights = weights[: 16 * 16].view(16, 16, 1, 1), weights[16 * 16 :]
            x, y = centres[prompt, group]
            away = torch.empty(2, 3, 5)
            for row in range(3):
                for column in range(5):
                    away[0, row, column] = x - (column + 0.5) / 5
                    away[1, row, column] = y - (row + 0.5) / 3
            stacked = torch.cat((features[prompt], away))[None]
            hidden = F.conv2d(stacked, first, weights[:16]).relu()
            expected = F.conv2d(hidden, second, weights[16:])[0]
            torch.testing.assert_close(found[prompt, group], expected, atol=1e-3, rtol=1e-3)


def test_a_refinement_is_two_convolutions_of_mask_and_map() -> None:
    torch.manual_seed(0)
    layer, image_of = Refinement(7), torch.tensor([1, 0, 1])
    masks, maps = torch.randn(3, 2, CHANNELS, 4, 4), torch.randn(2, 7, 4, 4)
    found = layer(masks, maps, image_of)
    for prompt, image in enumerate(image_of):
        for group in range(2):
            both = torch.cat((masks[prompt, group], maps[image]))[None]
            more = layer.more(layer.both(both.relu()).relu())[0]
            expected = masks[prompt, group] + more
            torch.testing.assert_close(found[prompt, group], expected, atol=1e-5, rtol=1e-4)


def test_masks_have_a_logit_for_every_pixel() -> None:
    torch.manual_seed(0)
    head, memory = MaskHead(5, 7), pyramid([torch.randn(2, 256, *size) for size in SIZES])
    finer = torch.randn(1, 5, 16, 16), torch.randn(1, 7, 8, 8)
    queries, centres, image_of = torch.randn(2, 3, 256), torch.rand(2, 3, 2), torch.zeros(2).long()
    found = head(memory, queries, centres, finer, image_of)
    assert found.shape == (2, 3, 64, 64)
    alone = head(memory, queries[:, 1:2], centres[:, 1:2], finer, image_of)
    torch.testing.assert_close(found[:, 1:2], alone, atol=1e-4, rtol=1e-3)
    # Sixteen channels of a cell at stride 4 are its pixels: a change of one cell stays in it.
    assert head.refine_4.more.out_channels == 4 * 4


def test_features_are_the_three_finer_maps() -> None:
    maps = [torch.full((1, 256, *size), float(level)) for level, size in enumerate(SIZES, start=1)]
    torch.testing.assert_close(features_at_8(pyramid(maps)), torch.full((1, 256, 8, 8), 6.0))
