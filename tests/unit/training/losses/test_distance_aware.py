import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses.distance_aware import (
    distance_aware_cross_entropy,
    distance_to,
    distance_weight_map,
)


def label_maps() -> list[Tensor]:
    """[1, 16, 70] each: noise, two people near and far apart, one person, nobody, one pixel."""
    torch.manual_seed(0)
    nobody = torch.zeros(1, 16, 70, dtype=torch.long)
    one, near, far, pixel = (nobody.clone() for _ in range(4))
    one[:, 4:12, 5:20] = 1
    near[:, 4:12, 5:20], near[:, 2:14, 24:40] = 1, 2
    far[:, 4:12, 2:8], far[:, 4:12, 56:66] = 1, 2
    pixel[:, 8, 69] = 1
    noise = torch.randint(0, 3, nobody.shape)
    return [noise, near, far, one, nobody, torch.ones_like(nobody), pixel]


def slow_weights(labels: Tensor) -> Tensor:
    """Every pixel against every other one; [H, W]."""
    height, width = labels.shape
    value = labels.tolist()
    pixels = [(y, x) for y in range(height) for x in range(width)]
    boundary = [
        (y, x)
        for y, x in pixels
        if any(
            value[v][u] != value[y][x]
            for v in range(max(y - 1, 0), min(y + 2, height))
            for u in range(max(x - 1, 0), min(x + 2, width))
        )
    ]
    people = {label: [(y, x) for y, x in pixels if value[y][x] == label] for label in (1, 2)}
    weights = torch.ones(height, width)
    for y, x in pixels:
        nearest = min((math.dist((y, x), other) for other in boundary), default=math.inf)
        weights[y, x] += max(0.0, 1 - nearest / 5)
        others = people.get(3 - value[y][x], [])
        if value[y][x] and any(math.dist((y, x), other) < 50 for other in others):
            weights[y, x] *= 3
    return weights


@pytest.mark.parametrize("labels", label_maps())
def test_the_weights_equal_the_slow_obvious_version(labels: Tensor) -> None:
    torch.testing.assert_close(distance_weight_map(labels)[0], slow_weights(labels[0]))


def test_the_weights_of_a_batch_are_those_of_its_samples() -> None:
    labels = torch.cat(label_maps())
    alone = torch.cat([distance_weight_map(sample[None]) for sample in labels])
    torch.testing.assert_close(distance_weight_map(labels), alone)


def test_distances_do_not_reach_into_the_next_sample() -> None:
    marked = torch.zeros(2, 4, 5, dtype=torch.bool)
    marked[0, 1, 0] = True
    distances = distance_to(marked.numpy())
    assert distances[0, 1, 4] == 4 and distances[0, 3, 1] == pytest.approx(math.sqrt(5))
    assert (distances[1] == math.inf).all()


def test_one_class_alone_costs_the_plain_cross_entropy() -> None:
    labels = torch.zeros(2, 8, 6, dtype=torch.long)
    logits = torch.randn(2, 3, 8, 6)
    expected = F.cross_entropy(logits, labels).item()
    assert distance_aware_cross_entropy(logits, labels).item() == pytest.approx(expected)


def test_the_loss_equals_the_weighted_mean_of_the_pixels() -> None:
    labels = torch.cat(label_maps()[:4])
    logits, class_weights = torch.randn(4, 3, 16, 70), torch.tensor([0.5, 1.0, 2.0])
    total = weight_sum = 0.0
    entropy = F.cross_entropy(logits, labels, reduction="none")
    for sample, entropies in zip(labels, entropy, strict=True):
        weights = slow_weights(sample)
        for y in range(16):
            for x in range(70):
                weight = weights[y, x].item() * class_weights[sample[y, x]].item()
                total += weight * entropies[y, x].item()
                weight_sum += weight
    loss = distance_aware_cross_entropy(logits, labels, class_weights)
    assert loss.item() == pytest.approx(total / weight_sum, rel=1e-4)


def test_a_mistake_between_two_people_costs_more_than_one_in_the_background() -> None:
    labels = label_maps()[1]
    costs = []
    for y, x in ((8, 19), (8, 60)):  # beside the other person, and far from everybody
        logits = F.one_hot(labels, 3).permute(0, 3, 1, 2).float() * 8
        logits[0, :, y, x] = logits[0, :, y, x].roll(1)
        costs.append(distance_aware_cross_entropy(logits, labels).item())
    assert costs[0] > 3 * costs[1]


@pytest.mark.parametrize("labels", [*label_maps(), torch.zeros(0, 16, 70, dtype=torch.long)])
def test_gradients_are_finite(labels: Tensor) -> None:
    logits = torch.randn(len(labels), 3, 16, 70, requires_grad=True)
    loss = distance_aware_cross_entropy(logits, labels)
    loss.backward()
    assert torch.isfinite(loss) and (len(labels) or loss == 0)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
