import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.people.mask_head import HeadOutput
from training.data.samples import IGNORED
from training.losses.hierarchical import HierarchicalLoss
from training.losses.refinement import boundary_loss, contour_loss, distance_loss

SIZE_HW = (16, 12)
ALONE = {"mask", "dice", "person", "target", "consistency", "boundary", "loss"}
REFINED = ALONE | {"contour", "distance"}
WEIGHTS = {
    "mask": 1.0,
    "dice": 1.0,
    "person": 1.5,
    "target": 1.5,
    "consistency": 0.3,
    "boundary": 0.1,
    "contour": 0.4,  # 0.1 sqrt(3072 / (16 x 12))
    "distance": 0.1,
}


def random_output(samples: int, refine: bool = True) -> HeadOutput:
    torch.manual_seed(1)
    parts = [torch.randn(samples, c, *SIZE_HW).requires_grad_() for c in (3, 2, 2, 1, 1)]
    return HeadOutput(*parts) if refine else HeadOutput(*parts[:3])


def perfect_output(labels: Tensor, certainty: float = 20.0) -> HeadOutput:
    classes = F.one_hot(labels, 3).permute(0, 3, 1, 2).float() * certainty
    person = torch.stack((classes[:, 0], classes[:, 1:].amax(dim=1)), dim=1)
    return HeadOutput(classes, person, classes[:, 1:])


def label_maps() -> list[Tensor]:
    """Random, nobody, only the target, only others, and a target of one pixel; [2, H, W] each."""
    torch.manual_seed(0)
    nobody = torch.zeros(2, *SIZE_HW, dtype=torch.long)
    pixel = nobody.clone()
    pixel[1, 5, 0] = 1
    return [torch.randint(0, 3, nobody.shape), nobody, nobody + 1, nobody + 2, pixel]


def partly_ignored() -> Tensor:
    """Random, a third of it IGNORED; [2, H, W]."""
    labels = label_maps()[0]
    labels[:, :, 8:] = IGNORED
    return labels


def entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def probabilities(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def first_batch_weights(values: list[int], gain: float) -> list[float]:
    """A tenth of the way from 1 to the limited balance, the second class's times gain."""
    weights = []
    for label, factor in ((0, 1.0), (1, gain)):
        count = values.count(label)
        balance = factor * len(values) / (2 * count) if count else math.inf
        weights.append(0.9 + 0.1 * min(max(balance, 0.5), 3.0) if values else 1.0)
    return weights


def slow_terms(output: HeadOutput, labels: Tensor) -> dict[str, float]:
    """The unweighted terms of a loss's first batch, pixel by pixel."""
    pixels = torch.cartesian_prod(*(torch.arange(side) for side in labels.shape)).tolist()
    every = {(n, y, x): int(labels[n, y, x]) for n, y, x in pixels}
    label_of = {pixel: label for pixel, label in every.items() if label != IGNORED}
    person_weights = first_batch_weights([int(value > 0) for value in label_of.values()], 1.2)
    target_weights = first_batch_weights([value - 1 for value in label_of.values() if value], 1.0)
    sums = dict.fromkeys(("mask", "consistency", "person", "target"), 0.0)
    weight_sums = {"person": 0.0, "target": 0.0}
    overlap, total = [0.0] * len(labels), [0.0] * len(labels)
    for (n, y, x), label in label_of.items():
        mask, person, target = (part[n, :, y, x].tolist() for part in output[:3])  # type: ignore
        found = probabilities(mask)
        sums["mask"] += entropy(mask, label)
        sums["consistency"] += (probabilities(person)[1] - found[1] - found[2]) ** 2
        sums["person"] += person_weights[label > 0] * entropy(person, int(label > 0))
        weight_sums["person"] += person_weights[label > 0]
        if label:
            sums["target"] += target_weights[label - 1] * entropy(target, label - 1)
            weight_sums["target"] += target_weights[label - 1]
        overlap[n] += found[1] * (label == 1)
        total[n] += found[1] + (label == 1)
    somebody = {n for (n, _, _), label in every.items() if label == 1}
    dice = [1 - (2 * overlap[n] + 1e-6) / (total[n] + 1e-6) for n in somebody]
    return {
        "mask": sums["mask"] / len(label_of),
        "dice": sum(dice) / max(len(dice), 1),
        "person": sums["person"] / weight_sums["person"],
        "target": sums["target"] / weight_sums["target"] if weight_sums["target"] else 0.0,
        "consistency": sums["consistency"] / len(label_of),
    }


@pytest.mark.parametrize("labels", [*label_maps(), partly_ignored()])
def test_the_terms_equal_the_slow_obvious_version(labels: Tensor) -> None:
    output = random_output(2)
    assert output.contour_logits is not None and output.distance is not None
    expected = slow_terms(output, labels)
    expected["boundary"] = boundary_loss(output.mask_logits, labels).item()
    expected["contour"] = contour_loss(output.contour_logits, labels).item()
    expected["distance"] = distance_loss(output.distance, labels).item()
    weighted = {name: WEIGHTS[name] * value for name, value in expected.items()}
    weighted["loss"] = sum(weighted.values())
    found = {name: term.item() for name, term in HierarchicalLoss()(output, labels).items()}
    assert found == pytest.approx(weighted, rel=1e-4)


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("labels", [*label_maps(), torch.zeros(0, *SIZE_HW, dtype=torch.long)])
def test_every_output_gets_a_finite_gradient(labels: Tensor, refine: bool) -> None:
    output = random_output(len(labels), refine)
    terms = HierarchicalLoss()(output, labels)
    assert set(terms) == (REFINED if refine else ALONE)
    terms["loss"].backward()
    for part in output:
        if part is not None:
            assert part.grad is not None and torch.isfinite(part.grad).all()


@pytest.mark.parametrize("distance_aware", [True, False])
def test_no_rois_cost_nothing(distance_aware: bool) -> None:
    loss = HierarchicalLoss(distance_aware=distance_aware)
    terms = loss(random_output(0), torch.zeros(0, *SIZE_HW, dtype=torch.long))
    assert all(term == 0 for term in terms.values())
    assert loss.person_weights.weights.tolist() == [1, 1]


@pytest.mark.parametrize("distance_aware", [True, False])
def test_what_is_said_of_ignored_pixels_changes_nothing(distance_aware: bool) -> None:
    labels = partly_ignored()
    known = labels[:, None] != IGNORED
    output = random_output(2)
    changed = HeadOutput(*(part.where(known, -7.0) for part in output if part is not None))
    terms, others = (
        HierarchicalLoss(distance_aware=distance_aware)(o, labels) for o in (output, changed)
    )
    assert terms.keys() == others.keys() == REFINED
    for name, term in terms.items():
        assert term.item() == pytest.approx(others[name].item(), rel=1e-5) and term > 0, name
    terms["loss"].backward()
    for part in output[:5]:
        assert part is not None and part.grad is not None
        assert part.grad.where(known, 0).any() and not part.grad.where(~known, 0).any()


def test_a_roi_of_which_nothing_is_known_costs_nothing() -> None:
    labels = torch.full((1, *SIZE_HW), IGNORED)
    loss = HierarchicalLoss()
    terms = loss(random_output(1), labels)
    assert all(term.item() == 0 for term in terms.values())
    assert loss.person_weights.weights.tolist() == [1, 1]


def test_a_roi_of_nobody_weighs_no_more_the_surer_the_head_is_of_that() -> None:
    labels = torch.zeros((2, *SIZE_HW), dtype=torch.long)
    for certainty in (1.0, 10.0, 20.0):
        logits = perfect_output(labels, certainty).mask_logits.requires_grad_()
        output = perfect_output(labels, certainty)._replace(mask_logits=logits)
        terms = HierarchicalLoss()(output, labels)
        terms["loss"].backward()
        assert terms["dice"] == 0 and logits.grad is not None
        assert logits.grad.abs().sum() <= 3


def test_presence_is_the_cross_entropy_of_whose_box_is_a_persons() -> None:
    logits = torch.tensor([[1.5], [-0.5]], requires_grad=True)
    output = random_output(2)._replace(presence_logit=logits)
    labels, present = label_maps()[0], torch.tensor([True, False])
    terms = HierarchicalLoss(presence=2.0)(output, labels, present)
    expected = 2 * (math.log(1 + math.exp(-1.5)) + math.log(1 + math.exp(-0.5))) / 2
    assert terms["presence"].item() == pytest.approx(expected)
    terms["loss"].backward()
    assert logits.grad is not None and logits.grad[0] < 0 < logits.grad[1]
    others = HierarchicalLoss()(random_output(2), labels)
    assert others.keys() == terms.keys() - {"presence"}
    for name in others.keys() - {"loss"}:
        assert terms[name].item() == pytest.approx(others[name].item(), rel=1e-5)
    everybody = HierarchicalLoss()(output, labels)["presence"].item()
    told = HierarchicalLoss()(output, labels, torch.tensor([True, True]))["presence"].item()
    assert everybody == told


def test_a_perfect_head_has_next_to_no_loss_and_a_wrong_one_much() -> None:
    labels = label_maps()[0]
    assert HierarchicalLoss()(perfect_output(labels), labels)["loss"] < 0.01
    assert HierarchicalLoss()(perfect_output((labels + 1) % 3), labels)["loss"] > 10


def test_the_branches_channels_are_background_person_and_target_non_target() -> None:
    labels = label_maps()[0]
    perfect = perfect_output(labels)
    for swapped in ("person_logits", "target_logits"):
        output = perfect._replace(**{swapped: getattr(perfect, swapped).flip(1)})
        assert HierarchicalLoss()(output, labels)["loss"] > 5


def test_the_target_term_reads_only_peoples_pixels() -> None:
    labels = label_maps()[0]
    output = random_output(2)
    changed = torch.where(labels[:, None] > 0, output.target_logits, 99.0)
    terms = [
        HierarchicalLoss()(o, labels)["target"].item()
        for o in (output, output._replace(target_logits=changed))
    ]
    assert terms[0] == pytest.approx(terms[1])


def test_the_auxiliary_weight_leaves_the_masks_own_terms() -> None:
    labels, output = label_maps()[0], random_output(2)
    whole, less = (
        HierarchicalLoss(auxiliary_weight=weight)(output, labels) for weight in (1.0, 0.3)
    )
    for name in REFINED - {"loss"}:
        factor = 1.0 if name in ("mask", "dice") else 0.3
        assert less[name].item() == pytest.approx(factor * whole[name].item(), rel=1e-5), name
    assert less["loss"] < whole["loss"]


def test_the_options_change_only_the_mask_term() -> None:
    labels, output = label_maps()[0], random_output(2)
    plain = HierarchicalLoss()(output, labels)
    options = {"distance_aware": True}, {"class_weights": (0.5, 0.7, 1.8)}
    for option in options:
        terms = HierarchicalLoss(**option)(output, labels)  # type: ignore[arg-type]
        changed = {n for n in terms if terms[n].item() != pytest.approx(plain[n].item(), rel=1e-6)}
        assert changed == {"mask", "loss"}


def test_class_weights_are_those_of_a_weighted_cross_entropy() -> None:
    labels, output, weights = label_maps()[0], random_output(2), (0.5, 0.7, 1.8)
    term = HierarchicalLoss(class_weights=weights)(output, labels)["mask"]
    expected = F.cross_entropy(output.mask_logits, labels, weight=torch.tensor(weights))
    assert term.item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="give three"):
        HierarchicalLoss(class_weights=(1.0, 2.0))


def test_only_the_balanced_weights_are_in_the_checkpoint() -> None:
    keys = set(HierarchicalLoss(class_weights=(1.0, 2.0, 3.0)).state_dict())
    assert keys == {"person_weights.weights", "target_weights.weights"}


def test_half_precision_outputs_cost_nearly_the_same() -> None:
    labels, output = label_maps()[0], random_output(2)
    half = HeadOutput(*(part.bfloat16() for part in output if part is not None))
    expected = HierarchicalLoss()(output, labels)["loss"].item()
    assert HierarchicalLoss()(half, labels)["loss"].item() == pytest.approx(expected, rel=1e-2)
