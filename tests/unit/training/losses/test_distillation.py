import math

import pytest
import torch
from torch import Tensor

from training.data.samples import IGNORED
from training.losses.distillation import (
    DistillationSchedule,
    distillation_loss,
    divergence,
    task_loss,
)


def label_maps() -> list[Tensor]:
    """Random with ignored pixels, nobody, only people, and one person's pixel; [2, 6, 6] each."""
    torch.manual_seed(0)
    nobody = torch.zeros(2, 6, 6, dtype=torch.long)
    pixel = nobody.clone()
    pixel[0, 0, 5] = 1
    random = torch.tensor([0, 1, IGNORED])[torch.randint(0, 3, nobody.shape)]
    return [random, nobody, nobody + 1, pixel]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_divergence(student: Tensor, teacher: Tensor, temperature: float) -> float:
    total = 0.0
    for pair in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        s, t = (min(max(sigmoid(min(max(x, -10), 10) / temperature), 1e-5), 1 - 1e-5) for x in pair)
        total += t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s))
    return total / student.numel()


def slow_task(logits: Tensor, labels: Tensor) -> float:
    entropy, known, dices = 0.0, 0, []
    for image, truth in zip(logits.flatten(1).tolist(), labels.flatten(1).tolist(), strict=True):
        overlap = total = 0.0
        for logit, label in zip(image, truth, strict=True):
            if label == IGNORED:
                continue
            person = sigmoid(logit)
            weight = math.sqrt(0.838 / 0.162) if label else 1.0
            entropy -= weight * math.log(person if label else 1 - person)
            known += 1
            overlap += person * label
            total += person + label
        dices.append(1 - (2 * overlap + 1e-5) / (total + 1e-5))
    return 0.7 * entropy / known + 0.3 * sum(dices) / len(dices)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("alpha", "share"), [(0.5, 0.1), (0.04, 0.04)])
@pytest.mark.parametrize("labels", label_maps())
def test_the_terms_equal_the_slow_obvious_version(
    labels: Tensor, alpha: float, share: float, temperature: float
) -> None:
    student, teacher = torch.randn(2, 6, 6) * 4, torch.randn(2, 6, 6) * 8
    squares = (student - teacher).flatten().square().tolist()
    expected = {
        "task": 0.7 * slow_task(student, labels),
        "divergence": 0.3 * share * slow_divergence(student, teacher, temperature),
        "difference": 0.3 * (1 - share) * sum(squares) / len(squares),
    }
    expected["loss"] = sum(expected.values())
    terms = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)


def test_the_teachers_own_answer_has_no_divergence_and_any_other_some() -> None:
    teacher = torch.randn(2, 6, 6)
    assert divergence(teacher, teacher, 4.0).item() == pytest.approx(0, abs=1e-7)
    assert divergence(teacher + 1, teacher, 4.0) > 0.001


@pytest.mark.parametrize("labels", [*label_maps(), torch.full((2, 6, 6), IGNORED)])
def test_gradients_are_finite_also_for_extreme_logits_and_none_reach_the_teacher(
    labels: Tensor,
) -> None:
    student = (torch.randn(2, 6, 6) * 100).requires_grad_()
    teacher = (torch.randn(2, 6, 6) * 100).requires_grad_()
    distillation_loss(student, teacher, labels, temperature=1.0, alpha=0.1)["loss"].backward()
    assert student.grad is not None and torch.isfinite(student.grad).all()
    assert teacher.grad is None


def test_without_alpha_the_labels_alone_teach() -> None:
    labels, student = label_maps()[0], torch.randn(2, 6, 6)
    teacher = torch.randn(2, 6, 6)
    terms = distillation_loss(student, teacher, labels, temperature=1.0, alpha=None)
    assert set(terms) == {"task", "loss"}
    assert terms["loss"] == terms["task"] == task_loss(student, labels)


def test_the_temperature_falls_from_four_to_one_along_half_a_cosine() -> None:
    schedule = DistillationSchedule()
    temperatures = [schedule.temperature(progress) for progress in (0, 0.25, 0.5, 1)]
    quarter = 1 + 3 * (1 + math.sqrt(0.5)) / 2
    assert temperatures == pytest.approx([4, quarter, 2.5, 1])
    assert DistillationSchedule(start_temperature=10).temperature(0) == 10


def test_alpha_decays_once_the_student_is_ahead_and_goes_three_percent_later() -> None:
    schedule = DistillationSchedule(start_alpha=0.1, alpha_decay=20)
    assert schedule.alpha(0.5) == schedule.alpha(1.0) == 0.1
    assert schedule.alpha(1.02) == pytest.approx(0.1 * math.exp(-0.4))
    assert schedule.alpha(1.03) is not None and schedule.alpha(1.031) is None
