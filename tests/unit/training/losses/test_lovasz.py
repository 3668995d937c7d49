"""The Lovasz loss is 1 - IoU where every response is certain, and its extension in between."""

import pytest
import torch
from torch import Tensor

from training.losses.lovasz import lovasz_loss


def jaccard_loss(truth: set[int], wrong: set[int]) -> float:
    """1 - IoU of a class when just these pixels are wrong, in or out of it."""
    found = truth ^ wrong
    union = truth | found
    return 1 - len(truth & found) / len(union) if union else 0.0


def slow_loss(probability: Tensor, person: Tensor, known: Tensor) -> float:
    """By the definition: pixels become wrong in the order of how wrong they are."""
    losses = []
    for p, y, k in zip(probability.tolist(), person.tolist(), known.tolist(), strict=True):
        pixels = [index for index, counts in enumerate(k) if counts]
        errors = {index: abs(float(y[index]) - p[index]) for index in pixels}
        for class_pixels in ({i for i in pixels if y[i]}, {i for i in pixels if not y[i]}):
            wrong: set[int] = set()
            loss = 0.0
            for index in sorted(pixels, key=lambda i: -errors[i]):
                before = jaccard_loss(class_pixels, wrong)
                wrong.add(index)
                loss += errors[index] * (jaccard_loss(class_pixels, wrong) - before)
            losses.append(loss)
    return sum(losses) / len(losses)


def images() -> list[tuple[Tensor, Tensor]]:
    """Of person and known: random, nobody, only people, nothing known."""
    torch.manual_seed(0)
    random, all_known = torch.rand(3, 20) > 0.6, torch.ones(3, 20, dtype=torch.bool)
    nobody = torch.zeros_like(all_known)
    return [
        (random, torch.rand(3, 20) > 0.3),
        (nobody, all_known),
        (~nobody, all_known),
        (random, nobody),
    ]


@pytest.mark.parametrize(("person", "known"), images())
def test_the_loss_equals_the_slow_obvious_version(person: Tensor, known: Tensor) -> None:
    probability = torch.rand(3, 20)
    found = lovasz_loss(probability, person, known).item()
    assert found == pytest.approx(slow_loss(probability, person, known), abs=1e-5)


@pytest.mark.parametrize(("person", "known"), images())
def test_of_certain_answers_it_is_1_minus_the_mean_iou(person: Tensor, known: Tensor) -> None:
    found = torch.rand(3, 20) > 0.5
    ious = []
    for f, y, k in zip(found, person, known, strict=True):
        for a, b in ((f & k, y & k), (~f & k, ~y & k)):
            union = (a | b).sum().item()
            ious.append((a & b).sum().item() / union if union else 1.0)
    loss = lovasz_loss(found.float(), person, known).item()
    assert loss == pytest.approx(1 - sum(ious) / len(ious), abs=1e-5)


def test_pixels_that_are_not_known_get_no_gradient() -> None:
    probability = torch.rand(2, 20, requires_grad=True)
    known = torch.rand(2, 20) > 0.5
    lovasz_loss(probability, torch.rand(2, 20) > 0.5, known).backward()
    assert probability.grad is not None and torch.isfinite(probability.grad).all()
    assert (probability.grad[~known] == 0).all() and (probability.grad[known] != 0).any()


def test_no_images_cost_nothing() -> None:
    empty = torch.zeros(0, 4, 4)
    assert lovasz_loss(empty, empty.bool(), empty.bool()) == 0
