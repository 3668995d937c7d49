"""Losses of class maps against slow, obvious versions."""

import math

import pytest
import torch
from torch import Tensor

from peopleseg.labels.label_maps import UNKNOWN
from training.semantic.losses import class_map_loss, cross_entropy, dice, distillation, focal

CLASSES = 4


def label_maps() -> list[Tensor]:
    """Random with unknown pixels, one class alone, all but one pixel unknown; [2, 5, 6] each."""
    torch.manual_seed(0)
    alone = torch.full((2, 5, 6), 2)
    pixel = torch.full((2, 5, 6), UNKNOWN)
    pixel[0, 1, 3] = 1
    random = torch.tensor([0, 1, 2, 3, UNKNOWN])[torch.randint(0, 5, alone.shape)]
    return [random, alone, pixel]


def some_logits(seed: int = 1) -> Tensor:
    return 3 * torch.randn(2, CLASSES, 5, 6, generator=torch.Generator().manual_seed(seed))


def softmax(values: list[float]) -> list[float]:
    weights = [math.exp(value) for value in values]
    return [weight / sum(weights) for weight in weights]


def pixels(logits: Tensor, labels: Tensor) -> list[tuple[int, list[float], int]]:
    """Image, probabilities and label of each pixel."""
    return [
        (image, softmax(logits[image, :, y, x].tolist()), int(labels[image, y, x]))
        for image in range(len(labels))
        for y in range(labels.shape[1])
        for x in range(labels.shape[2])
    ]


def slow_cross_entropy(logits: Tensor, labels: Tensor) -> float:
    known = [-math.log(p[label]) for _, p, label in pixels(logits, labels) if label != UNKNOWN]
    return sum(known) / len(known)


def slow_focal(logits: Tensor, labels: Tensor) -> float:
    known = [
        -0.25 * (1 - p[label]) ** 2 * math.log(p[label])
        for _, p, label in pixels(logits, labels)
        if label != UNKNOWN
    ]
    return sum(known) / len(known)


def slow_dice(logits: Tensor, labels: Tensor) -> float:
    losses = []
    for image in range(len(labels)):
        own = [(p, label) for i, p, label in pixels(logits, labels) if i == image]
        for number in range(CLASSES):
            overlap = sum(p[number] for p, label in own if label == number)
            found = sum(p[number] for p, label in own if label != UNKNOWN)
            true = sum(label == number for _, label in own)
            losses.append(1 - (2 * overlap + 1) / (found + true + 1))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("labels", label_maps())
@pytest.mark.parametrize(
    ("fast", "slow"),
    [(cross_entropy, slow_cross_entropy), (focal, slow_focal), (dice, slow_dice)],
    ids=["cross_entropy", "focal", "dice"],
)
def test_it_equals_the_slow_obvious_version(fast: object, slow: object, labels: Tensor) -> None:
    assert callable(fast) and callable(slow)
    found = float(fast(some_logits(), labels))
    assert found == pytest.approx(slow(some_logits(), labels), rel=1e-4)


@pytest.mark.parametrize("labels", label_maps())
def test_the_combined_loss_is_the_sum(labels: Tensor) -> None:
    both = focal(some_logits(), labels) + dice(some_logits(), labels)
    torch.testing.assert_close(class_map_loss("combined", some_logits(), labels), both)


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "dice", "combined"])
def test_unknown_pixels_change_nothing_and_teach_nothing(kind: object) -> None:
    labels, logits = label_maps()[0], some_logits().requires_grad_()
    unknown = (labels == UNKNOWN)[:, None]
    other = logits.detach().where(~unknown, 50.0)
    loss = class_map_loss(kind, logits, labels)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, class_map_loss(kind, other, labels))  # type: ignore[arg-type]
    loss.backward()
    assert logits.grad is not None and not logits.grad[unknown.expand_as(logits)].any()


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "dice", "combined"])
def test_it_is_finite_where_nothing_is_known(kind: object) -> None:
    nothing = torch.full((2, 5, 6), UNKNOWN, dtype=torch.uint8)
    assert float(class_map_loss(kind, some_logits(), nothing)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["cross_entropy", "focal"])
def test_a_class_of_weight_0_counts_nothing(kind: object) -> None:
    labels = label_maps()[1]
    weights = torch.tensor([1.0, 1.0, 0.0, 1.0])
    assert float(class_map_loss(kind, some_logits(), labels, weights)) == 0  # type: ignore[arg-type]


def test_a_teacher_who_says_the_same_costs_nothing_and_another_does() -> None:
    labels = label_maps()[0]
    assert float(distillation(some_logits(), some_logits(), labels, 4.0)) == pytest.approx(0)
    assert float(distillation(some_logits(), some_logits(2), labels, 4.0)) > 0.1


def test_the_distillation_equals_the_slow_obvious_version() -> None:
    labels, heat = label_maps()[0], 4.0
    student, teacher = (pixels(some_logits(seed) / heat, labels) for seed in (1, 2))
    known = [
        sum(t * math.log(t / s) for s, t in zip(own, taught, strict=True))
        for (_, own, label), (_, taught, _) in zip(student, teacher, strict=True)
        if label != UNKNOWN
    ]
    expected = heat**2 * sum(known) / len(known)
    found = float(distillation(some_logits(), some_logits(2), labels, heat))
    assert found == pytest.approx(expected, rel=1e-4)
