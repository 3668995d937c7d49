import pytest
import torch
from torch import Tensor

from training.losses.dice import dice_loss


def slow_dice(probability: Tensor, target: Tensor, smooth: float) -> float:
    losses = []
    for found, true in zip(probability.tolist(), target.tolist(), strict=True):
        pairs = [
            (p, t)
            for row, true_row in zip(found, true, strict=True)
            for p, t in zip(row, true_row, strict=True)
        ]
        overlap = sum(p * t for p, t in pairs)
        losses.append(1 - (2 * overlap + smooth) / (sum(p + t for p, t in pairs) + smooth))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("smooth", [1e-6, 100.0])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_dice_equals_the_slow_obvious_version(share: float, smooth: float) -> None:
    torch.manual_seed(0)
    probability = torch.rand(3, 7, 5)
    target = (torch.rand(3, 7, 5) < share).float()
    expected = slow_dice(probability, target, smooth)
    assert dice_loss(probability, target, smooth).item() == pytest.approx(expected, abs=1e-6)


def test_the_truth_costs_nothing_and_its_opposite_everything() -> None:
    target = torch.zeros(2, 6, 6)
    target[:, 2:4] = 1
    assert dice_loss(target, target) == 0
    assert dice_loss(1 - target, target).item() == pytest.approx(1, abs=1e-6)


def test_an_empty_sample_costs_nothing_where_nothing_is_found() -> None:
    nothing = torch.zeros(1, 4, 4)
    assert dice_loss(nothing, nothing) == 0


def test_samples_count_equally_whatever_their_size() -> None:
    target = torch.zeros(2, 8, 8)
    target[0, 0, 0], target[1] = 1, 1
    found = target.clone()
    found[0] = 0  # the small one is missed
    assert dice_loss(found, target).item() == pytest.approx(0.5, abs=1e-6)


def test_a_batch_of_nothing_is_zero_with_a_gradient() -> None:
    probability = torch.zeros(0, 4, 4, requires_grad=True)
    loss = dice_loss(probability, torch.zeros(0, 4, 4))
    loss.backward()
    assert loss == 0 and probability.grad is not None
