"""Class weights: given ones, and those that follow the batches."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.data.images import DataError
from training.losses.class_weights import (
    BalancedWeights,
    roi_class_weights,
    weighted_cross_entropy,
)
from training.losses.hierarchical import HierarchicalLoss


def slow_weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> float:
    total = weight_sum = 0.0
    for n, y, x in torch.cartesian_prod(*(torch.arange(side) for side in labels.shape)).tolist():
        values = logits[n, :, y, x].tolist()
        log_sum = math.log(sum(math.exp(value) for value in values))
        weight = weights[n, y, x].item()
        total += weight * (log_sum - values[labels[n, y, x]])
        weight_sum += weight
    return total / weight_sum


def test_weighted_cross_entropy_equals_the_slow_obvious_version() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 5, 4) * 3, torch.randint(0, 3, (2, 5, 4))
    weights = torch.rand(2, 5, 4)
    weights[0, 0] = 0
    expected = slow_weighted_cross_entropy(logits, labels, weights)
    assert weighted_cross_entropy(logits, labels, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("samples", [0, 2])
def test_weightless_pixels_cost_nothing_and_give_finite_gradients(samples: int) -> None:
    logits = torch.randn(samples, 3, 5, 4, requires_grad=True)
    labels = torch.zeros(samples, 5, 4, dtype=torch.long)
    loss = weighted_cross_entropy(logits, labels, torch.zeros(samples, 5, 4))
    loss.backward()
    assert loss == 0 and logits.grad is not None and torch.isfinite(logits.grad).all()


def slow_balance(labels: list[int], gains: list[float]) -> list[float]:
    weights = []
    for label, gain in enumerate(gains):
        count = labels.count(label)
        weight = gain * len(labels) / (len(gains) * count) if count else math.inf
        weights.append(min(max(weight, 0.5), 3.0))
    return weights


@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 1], [0] * 7 + [1] * 3, [0] * 5, [1] * 5, [1], [0] * 99 + [1]]
)
def test_weights_move_a_tenth_of_the_way_to_the_batchs_balance(labels: list[int]) -> None:
    balanced = BalancedWeights(gains=(1.0, 1.2))
    once = balanced(torch.tensor(labels))
    expected = [0.9 + 0.1 * weight for weight in slow_balance(labels, [1.0, 1.2])]
    assert once.tolist() == pytest.approx(expected)
    for _ in range(100):
        weights = balanced(torch.tensor(labels))
    assert weights.tolist() == pytest.approx(slow_balance(labels, [1.0, 1.2]), abs=1e-3)


def test_a_batch_without_pixels_changes_no_weight() -> None:
    balanced = BalancedWeights(gains=(1.0, 1.0))
    assert balanced(torch.zeros(0, dtype=torch.long)).tolist() == [1, 1]


def test_validation_changes_no_weight() -> None:
    balanced = BalancedWeights(gains=(1.0, 1.0)).eval()
    assert balanced(torch.zeros(9, dtype=torch.long)).tolist() == [1, 1]


def test_weights_come_back_with_the_checkpoint() -> None:
    trained, fresh = BalancedWeights(gains=(1.0, 1.0)), BalancedWeights(gains=(1.0, 1.0))
    trained(torch.tensor([0, 0, 0, 1]))
    fresh.load_state_dict(trained.state_dict())
    assert fresh.weights.tolist() == trained.weights.tolist() != [1, 1]


def test_weights_given_out_stay_when_the_next_batch_comes() -> None:
    balanced = BalancedWeights(gains=(1.0, 1.0))
    first = balanced(torch.tensor([0, 0, 0, 1]))
    values = first.tolist()
    assert balanced(torch.tensor([0, 1, 1, 1])).tolist() != values == first.tolist()


def test_other_than_three_roi_weights_are_refused() -> None:
    assert roi_class_weights([0.5, 1, 2]).tolist() == [0.5, 1, 2]
    with pytest.raises(ValueError, match="are 2 numbers; give three"):
        roi_class_weights([1.0, 2.0])


def test_roi_weights_are_read_from_the_statistics_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "stats.json"
    file.write_text(json.dumps({"class_weights": {"separation_aware": [0.5, 0.75, 1.75]}}))
    assert roi_class_weights(file).tolist() == [0.5, 0.75, 1.75]
    assert HierarchicalLoss(class_weights=file).class_weights.tolist() == [0.5, 0.75, 1.75]


def test_a_file_without_statistics_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    with pytest.raises(DataError, match=r"other\.json has no 3 class weights"):
        roi_class_weights(file)
