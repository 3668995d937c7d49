import math

import pytest
import torch
from torch import Tensor

from training.data.samples import IGNORED
from training.losses.feature_head import SEPARATION_AWARE_WEIGHTS, FeatureHeadLoss

SIZE_HW = (8, 8)


def label_maps() -> list[Tensor]:
    """Random, nobody, only the target, only others, and a target of one pixel; [2, 8, 8] each."""
    torch.manual_seed(0)
    nobody = torch.zeros(2, *SIZE_HW, dtype=torch.long)
    pixel = nobody.clone()
    pixel[0, 7, 7] = 1
    return [torch.randint(0, 3, nobody.shape), nobody, nobody + 1, nobody + 2, pixel]


def slow_terms(logits: Tensor, labels: Tensor, weights: tuple[float, ...]) -> tuple[float, float]:
    entropy = weight_sum = 0.0
    dices = []
    for sample, truth in zip(logits, labels, strict=True):
        overlap = total = 0.0
        for values, label in zip(
            sample.flatten(1).T.tolist(), truth.flatten().tolist(), strict=True
        ):
            exponentials = [math.exp(value) for value in values]
            entropy -= weights[label] * math.log(exponentials[label] / sum(exponentials))
            weight_sum += weights[label]
            target = exponentials[1] / sum(exponentials)
            overlap += target * (label == 1)
            total += target + (label == 1)
        dices.append(1 - (2 * overlap + 1e-6) / (total + 1e-6))
    return entropy / weight_sum, sum(dices) / len(dices)


@pytest.mark.parametrize("weights", [SEPARATION_AWARE_WEIGHTS, (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("labels", label_maps())
def test_the_terms_equal_the_slow_obvious_version(
    labels: Tensor, weights: tuple[float, ...]
) -> None:
    logits = torch.randn(2, 3, *SIZE_HW) * 2
    mask, dice = slow_terms(logits, labels, weights)
    terms = {name: term.item() for name, term in FeatureHeadLoss(weights)(logits, labels).items()}
    assert terms == pytest.approx({"mask": mask, "dice": dice, "loss": mask + dice}, rel=1e-4)


@pytest.mark.parametrize("labels", [*label_maps(), torch.zeros(0, *SIZE_HW, dtype=torch.long)])
def test_gradients_are_finite_and_no_rois_cost_nothing(labels: Tensor) -> None:
    logits = torch.randn(len(labels), 3, *SIZE_HW, requires_grad=True)
    loss = FeatureHeadLoss()(logits, labels)["loss"]
    loss.backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert len(labels) or loss == 0


def test_what_is_said_of_ignored_pixels_changes_nothing() -> None:
    labels = label_maps()[0]
    labels[:, :3] = IGNORED
    logits = torch.randn(2, 3, *SIZE_HW, requires_grad=True)
    terms = FeatureHeadLoss()(logits, labels)
    known = FeatureHeadLoss()(logits[:, :, 3:], labels[:, 3:])
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(
        {n: t.item() for n, t in known.items()}
    )
    terms["loss"].backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, :3].any() and logits.grad[:, :, 3:].any()


def test_the_default_weights_follow_from_the_shares_of_the_pixels() -> None:
    shares = (0.4864665, 0.3659776, 0.1475558)
    weights = [math.log(1 / (share + 1e-3)) for share in shares]
    weights[2] *= 1.2
    scaled = [3 * weight / sum(weights) for weight in weights]
    assert scaled == pytest.approx(SEPARATION_AWARE_WEIGHTS, abs=1e-6)


def test_other_than_three_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="give three"):
        FeatureHeadLoss((1.0, 2.0))
