import math

import pytest
import torch
from torch import Tensor

from training.data.samples import IGNORED
from training.losses.foreground import foreground_loss, known_cross_entropy, known_dice
from training.losses.lovasz import lovasz_loss


def label_maps() -> list[Tensor]:
    """Random with ignored pixels, nobody, only people, one person's pixel, and all ignored."""
    torch.manual_seed(0)
    nobody = torch.zeros(2, 9, 9, dtype=torch.uint8)
    pixel = nobody.clone()
    pixel[1, 3, 8] = 1
    random = torch.tensor([0, 1, IGNORED], dtype=torch.uint8)[torch.randint(0, 3, nobody.shape)]
    return [random, nobody, nobody + 1, pixel, nobody + IGNORED]


def slow_loss(logits: Tensor, labels: Tensor, positive_weight: float, smooth: float) -> float:
    entropy, known, dices = 0.0, 0, []
    for image, truth in zip(logits.flatten(1).tolist(), labels.flatten(1).tolist(), strict=True):
        overlap = total = 0.0
        for logit, label in zip(image, truth, strict=True):
            if label == IGNORED:
                continue
            probability = 1 / (1 + math.exp(-logit))
            cost = -math.log(probability if label else 1 - probability)
            entropy += cost * (positive_weight if label else 1)
            known += 1
            overlap += probability * label
            total += probability + label
        dices.append(1 - (2 * overlap + smooth) / (total + smooth))
    return entropy / max(known, 1) + sum(dices) / len(dices)


@pytest.mark.parametrize("positive_weight", [1.0, 2.27])
@pytest.mark.parametrize("labels", label_maps())
def test_the_loss_equals_the_slow_obvious_version(labels: Tensor, positive_weight: float) -> None:
    logits = torch.randn(2, 9, 9) * 3
    expected = slow_loss(logits, labels, positive_weight, 100.0)
    found = foreground_loss(logits, labels, positive_weight).item()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("labels", label_maps())
def test_the_overlap_may_be_by_the_lovasz_loss(labels: Tensor) -> None:
    logits = torch.randn(2, 9, 9) * 3
    overlap = lovasz_loss(logits.sigmoid(), labels == 1, labels != IGNORED)
    found = foreground_loss(logits, labels, 2.27, "lovasz")
    torch.testing.assert_close(found, known_cross_entropy(logits, labels, 2.27) + overlap)


def test_ignored_pixels_do_not_count() -> None:
    labels = torch.tensor([[[0, 1], [IGNORED, IGNORED]]], dtype=torch.uint8)
    one = foreground_loss(torch.tensor([[[-2.0, 1.0], [9.0, -9.0]]]), labels)
    other = foreground_loss(torch.tensor([[[-2.0, 1.0], [-9.0, 9.0]]]), labels)
    assert one == other
    assert foreground_loss(torch.tensor([[[2.0, -1.0], [0.0, 0.0]]]), labels) > one


@pytest.mark.parametrize("labels", [*label_maps(), torch.zeros(0, 9, 9, dtype=torch.uint8)])
def test_gradients_are_finite_and_zero_where_ignored(labels: Tensor) -> None:
    logits = torch.randn(len(labels), 9, 9, requires_grad=True)
    loss = foreground_loss(logits, labels)
    loss.backward()
    assert logits.grad is not None and torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all() and (logits.grad[labels == IGNORED] == 0).all()


def test_nothing_known_costs_nothing() -> None:
    labels = torch.full((1, 4, 4), IGNORED)
    logits = torch.randn(1, 4, 4)
    assert known_cross_entropy(logits, labels) == 0 and known_dice(logits, labels, 100.0) == 0
