import math

import pytest
import torch
from torch import Tensor

from training.losses.mask_distillation import MaskDistillation, mask_divergence


def random_logits(rois: int = 2, size_hw: tuple[int, int] = (4, 3), scale: float = 4.0) -> Tensor:
    return torch.randn(rois, 3, *size_hw) * scale


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def probabilities(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def slow_divergence(student: Tensor, teacher: Tensor, temperature: float) -> float:
    cells = [
        [probabilities(cell, temperature) for cell in logits.movedim(1, -1).flatten(0, 2).tolist()]
        for logits in (student, teacher)
    ]
    total = sum(
        t * math.log(t / s) for pair in zip(*cells, strict=True) for s, t in zip(*pair, strict=True)
    )
    return temperature**2 * total / len(cells[0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_the_divergence_equals_the_slow_obvious_version(temperature: float) -> None:
    student, teacher = random_logits(), random_logits()
    expected = slow_divergence(student, teacher, temperature)
    assert mask_divergence(student, teacher, temperature).item() == pytest.approx(expected, 1e-4)


def test_the_teachers_own_answer_has_no_divergence_and_any_other_some() -> None:
    teacher = random_logits()
    assert mask_divergence(teacher, teacher, 2.0) == 0
    one_cell = teacher.clone()
    one_cell[1, 2, 3, 0] += 1
    assert mask_divergence(one_cell, teacher, 2.0) > 1e-4
    # the same probabilities
    assert mask_divergence(teacher + 5, teacher, 2.0).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("temperature", [50.0, 200.0])
def test_soft_answers_pull_the_student_by_the_difference_of_the_logits(temperature: float) -> None:
    student, teacher = random_logits(scale=1).requires_grad_(), random_logits(scale=1)
    mask_divergence(student, teacher, temperature).backward()
    assert student.grad is not None
    difference = student.detach() - teacher
    pull = (difference - difference.mean(dim=1, keepdim=True)) / 3 / (2 * 4 * 3)  # a class, a cell
    assert torch.allclose(student.grad, pull, atol=0.05 * float(pull.abs().max()))


@pytest.mark.parametrize("size_hw", [(8, 6), (2, 2), (5, 9)])
def test_a_teacher_of_another_grid_is_brought_to_the_students(size_hw: tuple[int, int]) -> None:
    student, shade = random_logits(), random_logits(size_hw=(1, 1))
    here, there = shade.expand(2, 3, 4, 3), shade.expand(2, 3, *size_hw)
    expected = mask_divergence(student, here, 2.0).item()
    assert mask_divergence(student, there, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_each_cell_is_taught_by_the_teachers_cells_in_its_place() -> None:
    student = random_logits()
    finer = student.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    # Within a cell the teacher's four differ; their mean is the student's.
    finer[:, 1, ::2, ::2] += 3
    finer[:, 1, 1::2, 1::2] -= 3
    assert mask_divergence(student, finer, 2.0).item() == pytest.approx(0, abs=1e-6)
    assert mask_divergence(student, finer.flip(3), 2.0) > 0.1


def test_gradients_are_finite_also_for_extreme_logits_and_none_reach_the_teacher() -> None:
    student, teacher = (random_logits(scale=1e4).requires_grad_() for _ in range(2))
    mask_divergence(student, teacher, 1.0).backward()
    assert student.grad is not None and torch.isfinite(student.grad).all()
    assert student.grad.any()
    assert teacher.grad is None


def test_half_precision_is_computed_in_single() -> None:
    student, teacher = random_logits().half(), random_logits().half()
    found = mask_divergence(student, teacher, 2.0)
    assert found.dtype == torch.float32
    assert found == mask_divergence(student.float(), teacher.float(), 2.0)


def test_of_nobody_there_is_nothing_to_learn() -> None:
    nobody = random_logits(rois=0).requires_grad_()
    found = mask_divergence(nobody, random_logits(rois=0, size_hw=(8, 6)), 2.0)
    found.backward()
    assert found == 0


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.0), ("weight", -1.0)])
def test_settings_that_teach_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; give one above 0"):
        MaskDistillation(**{name: value})
