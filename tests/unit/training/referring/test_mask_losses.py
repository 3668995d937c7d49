"""Losses of masks, against a slow, obvious version."""

import math

import pytest
import torch
from torch import Tensor

from peopleseg.labels.label_maps import UNKNOWN
from tests.unit.training.referring.made_up import SIDE
from tests.unit.training.referring.test_terms import slow_focal
from training.referring.mask_losses import halved, mask_losses


def masks(count: int = 3) -> Tensor:
    """Random with unknown pixels; the last all unknown."""
    values = torch.tensor([0, 1, UNKNOWN], dtype=torch.uint8)
    random = torch.Generator().manual_seed(0)
    made = values[torch.randint(0, 3, (count, SIDE, SIDE), generator=random)]
    made[-1] = UNKNOWN
    return made


def some_logits(side: int = SIDE, count: int = 3) -> Tensor:
    return 3 * torch.randn(count, side, side, generator=torch.Generator().manual_seed(1))


def slow_losses(logits: Tensor, true: Tensor, stride: int) -> tuple[float, float]:
    """Focal and Dice; of each cell, the pixel right below its middle."""
    focal_sum = dice_sum = 0.0
    for found, mask in zip(logits.tolist(), true.tolist(), strict=True):
        costs, overlap, total = [], 0.0, 0.0
        for y, row in enumerate(found):
            for x, logit in enumerate(row):
                label = mask[y * stride + stride // 2][x * stride + stride // 2]
                if label == UNKNOWN:
                    continue
                costs.append(slow_focal(logit, label))
                probability = 1 / (1 + math.exp(-logit))
                overlap += probability * label
                total += probability + label
        focal_sum += sum(costs) / max(len(costs), 1)
        dice_sum += 1 - (2 * overlap + 1) / (total + 1)
    return focal_sum, dice_sum


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_they_are_those_of_a_slow_version(stride: int) -> None:
    logits, true = some_logits(SIDE // stride), masks()
    found = [loss.item() for loss in mask_losses(logits, true)]
    assert found == pytest.approx(slow_losses(logits, true, stride), rel=1e-4)


def test_the_sum_is_that_of_the_masks_alone() -> None:
    logits, true = some_logits(), masks()
    alone = [mask_losses(logits[n : n + 1], true[n : n + 1]) for n in range(3)]
    torch.testing.assert_close(mask_losses(logits, true)[0], sum(one[0] for one in alone))
    torch.testing.assert_close(mask_losses(logits, true)[1], sum(one[1] for one in alone))
    assert [loss.item() for loss in alone[2]] == [0, 0]  # all unknown


def test_unknown_pixels_have_no_gradient_and_all_others_one() -> None:
    logits, true = some_logits().requires_grad_(), masks()
    torch.stack(mask_losses(logits, true)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert torch.equal(logits.grad != 0, true != UNKNOWN)


def test_the_truth_costs_next_to_nothing_and_its_opposite_most() -> None:
    true = masks()[:2]
    right = torch.where(true == 1, 20.0, -20.0)
    assert [loss.item() for loss in mask_losses(right, true)] == pytest.approx([0, 0], abs=1e-6)
    focal, dice = mask_losses(-right, true)
    assert dice.item() == pytest.approx(2, abs=0.05) and focal > 10


def test_no_masks_cost_nothing_with_a_gradient() -> None:
    logits = some_logits(count=0).requires_grad_()
    loss = torch.stack(mask_losses(logits, masks()[:0])).sum()
    loss.backward()
    assert loss == 0 and logits.grad is not None


def test_halved_is_the_mean_of_four() -> None:
    logits = some_logits(4, 1)
    expected = [[logits[0, y : y + 2, x : x + 2].mean().item() for x in (0, 2)] for y in (0, 2)]
    torch.testing.assert_close(halved(logits), torch.tensor([expected]))
    assert halved(logits[:0]).shape == (0, 2, 2)


@pytest.mark.parametrize("size", [(5, 5), (SIDE, SIDE // 2), (2 * SIDE, 2 * SIDE)])
def test_another_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"mask logits of {size[0]} x {size[1]} for masks of"):
        mask_losses(torch.zeros(3, *size), masks())
