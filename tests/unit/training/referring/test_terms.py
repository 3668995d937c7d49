"""The terms of the loss and of a match's cost, against slow, obvious versions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from peopleseg.systems.referring.evaluation.oks import oks
from tests.unit.training.referring.made_up import KEYPOINTS, people
from training.referring.terms import (
    LossWeights,
    box_distance,
    focal,
    giou_loss,
    keypoint_distance,
    oks_loss,
)


def slow_giou_loss(a: list[float], b: list[float]) -> float:
    """Of boxes as centre and size."""
    ax1, ay1, ax2, ay2 = a[0] - a[2] / 2, a[1] - a[3] / 2, a[0] + a[2] / 2, a[1] + a[3] / 2
    bx1, by1, bx2, by2 = b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2
    both = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
    either = a[2] * a[3] + b[2] * b[3] - both
    hull = (max(ax2, bx2) - min(ax1, bx1)) * (max(ay2, by2) - min(ay1, by1))
    return 1 - both / either + (hull - either) / hull


def slow_focal(logit: float, true: int) -> float:
    probability = 1 / (1 + math.exp(-logit))
    right = probability if true else 1 - probability
    return (0.25 if true else 0.75) * (1 - right) ** 2 * -math.log(right)


def test_weights_are_those_published() -> None:
    assert LossWeights() == LossWeights(2, 5, 2, 10, 4, 4, 2, 5)


def test_the_focal_loss_is_that_of_a_slow_version() -> None:
    logits = torch.linspace(-6, 6, 13)
    for true in (0, 1):
        found = focal(logits, torch.full_like(logits, true))
        expected = [slow_focal(logit, true) for logit in logits.tolist()]
        assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_boxes_are_compared_as_a_slow_version_does_it() -> None:
    found, true = torch.rand(2, 50, 4, generator=torch.Generator().manual_seed(0)) + 0.01
    pairs = list(zip(found.tolist(), true.tolist(), strict=True))
    distances = [sum(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in pairs]
    assert box_distance(found, true).tolist() == pytest.approx(distances, rel=1e-5)
    ious = [slow_giou_loss(*pair) for pair in pairs]
    assert giou_loss(found, true).tolist() == pytest.approx(ious, abs=1e-5)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((0.5, 0.5, 0.2, 0.2), 0.0),
        ((0.6, 0.5, 0.2, 0.2), 1 - 1 / 3),  # half beside; the hull is the union
        ((0.7, 0.5, 0.2, 0.2), 1.0),  # they touch
        ((0.9, 0.5, 0.2, 0.2), 1 + 1 / 3),  # the hull is a third empty
    ],
)
def test_giou_of_known_boxes(found: tuple[float, ...], expected: float) -> None:
    true = torch.tensor([0.5, 0.5, 0.2, 0.2])
    assert giou_loss(torch.tensor(found), true).item() == pytest.approx(expected, abs=1e-4)


def test_boxes_without_area_are_finite_with_a_gradient() -> None:
    found = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.3], [0.1, 0.1, 0.0, 0.0]])
    found.requires_grad_()
    true = torch.tensor([0.5, 0.5, 0.0, 0.0])
    loss = giou_loss(found, true) + box_distance(found, true)
    loss.sum().backward()
    assert loss.isfinite().all() and (giou_loss(found, true) <= 2).all()
    assert found.grad is not None and found.grad.isfinite().all()


def poses() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Found near the truth, true, visible and areas, of 4 people of whom the third is unknown."""
    true = people(4)
    noise = torch.randn(true.keypoints.shape, generator=torch.Generator().manual_seed(2))
    return true.keypoints + 0.03 * noise, true.keypoints, true.visible, true.areas


def test_keypoints_are_compared_as_a_slow_version_does_it() -> None:
    found, true, visible, _ = poses()
    expected = [
        sum(
            abs(found[n, k, axis].item() - true[n, k, axis].item())
            for k in range(KEYPOINTS)
            for axis in (0, 1)
            if visible[n, k]
        )
        for n in range(4)
    ]
    assert expected[2] == 0
    assert keypoint_distance(found, true, visible).tolist() == pytest.approx(expected, rel=1e-5)


def test_oks_is_that_of_the_evaluation() -> None:
    found, true, visible, areas = poses()
    loss = oks_loss(found, true, visible, areas).tolist()
    for n in range(4):
        known = visible[n].numpy() > 0
        similarity = oks(found[n : n + 1].numpy(), true[n].numpy(), known, areas[n].item())[0]
        assert np.isnan(similarity) == (n == 2)
        assert loss[n] == pytest.approx(0 if n == 2 else 1 - similarity, abs=1e-5)
    assert 0.1 < min(loss[:2]) and max(loss) < 0.95


def test_oks_is_finite_without_area_and_far_away() -> None:
    _, true, visible, areas = poses()
    for found in (true.clone(), true + 1, true + 1e6):
        found.requires_grad_()
        loss = oks_loss(found, true, visible, torch.zeros_like(areas))
        loss.sum().backward()
        assert loss.isfinite().all() and ((loss >= 0) & (loss <= 1)).all()
        assert found.grad is not None and found.grad.isfinite().all()


def test_what_is_not_visible_has_no_gradient() -> None:
    found, true, visible, areas = poses()
    found = found.clone().requires_grad_()
    (
        oks_loss(found, true, visible, areas) + keypoint_distance(found, true, visible)
    ).sum().backward()
    assert found.grad is not None
    moved = found.grad.abs().sum(dim=2) > 0
    assert (moved == (visible > 0)).all()


def test_terms_broadcast_over_groups() -> None:
    found, true, visible, areas = poses()
    groups = torch.stack([found, found + 0.1], dim=1)  # [4, 2, 17, 2]
    together = oks_loss(groups, true[:, None], visible[:, None], areas[:, None])
    apart = [oks_loss(groups[:, g], true, visible, areas) for g in (0, 1)]
    torch.testing.assert_close(together, torch.stack(apart, dim=1))
    boxes = torch.rand(4, 2, 4)
    together = giou_loss(boxes, people(4).boxes_cxcywh[:, None])
    apart = [giou_loss(boxes[:, g], people(4).boxes_cxcywh) for g in (0, 1)]
    torch.testing.assert_close(together, torch.stack(apart, dim=1))
