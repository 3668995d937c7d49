"""The whole loss, against a slow version of it, by known answers and by what is planted."""

import pytest
import torch
from torch import Tensor

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.networks.referring.outputs import RefOutput
from tests.unit.training.referring.made_up import (
    GROUPS,
    SIDE,
    answers,
    people,
    perfect,
    prompt_alone,
    proposals,
    rows,
)
from tests.unit.training.referring.test_mask_losses import slow_losses
from tests.unit.training.referring.test_terms import slow_focal, slow_giou_loss
from training.referring.losses import referring_losses
from training.referring.mask_losses import halved
from training.referring.matching import match
from training.referring.targets import RefTargets
from training.referring.terms import LossWeights, keypoint_distance, oks_loss

OF_LAYERS = ("person", "box", "giou", "keypoints", "oks", "visibility")
OF_MASKS = ("mask_focal", "mask_dice", "half_mask_focal", "half_mask_dice")


def losses(layers: list[RefOutput], targets: RefTargets, of: Tensor | None = None) -> dict:
    return referring_losses(layers, targets, match(layers[-1], targets, of), of)


def slow_layer(output: RefOutput, targets: RefTargets, prompt_of: list[int]) -> dict[str, float]:
    """Loops over groups and people; weights and counts written out."""
    pairs = match(output, targets, torch.tensor(prompt_of))
    taken = {(p.item(), g.item()): t.item() for p, g, t in zip(*pairs, strict=True)}
    terms = dict.fromkeys(OF_LAYERS, 0.0)
    for prompt in range(len(output.logits)):
        for group in range(GROUPS):
            row = taken.get((prompt, group))
            logit = output.logits[prompt, group, 0].item()
            terms["person"] += 2 * slow_focal(logit, int(row is not None))
            if row is None:
                continue
            if output.boxes_cxcywh is not None:
                found = output.boxes_cxcywh[prompt, group].tolist()
                true = targets.boxes_cxcywh[row].tolist()
                terms["box"] += 5 * sum(abs(a - b) for a, b in zip(found, true, strict=True))
                terms["giou"] += 2 * slow_giou_loss(found, true)
            visible = targets.visible[row]
            pose = output.keypoints[prompt, group], targets.keypoints[row], visible
            terms["keypoints"] += 10 * keypoint_distance(*pose).item()
            terms["oks"] += 4 * oks_loss(*pose, targets.areas[row]).item()
            if output.visibility is not None and visible.any():
                seen = output.visibility[prompt, group].sigmoid()
                right = torch.where(visible > 0, seen, 1 - seen)
                terms["visibility"] += 4 * -right.log().mean().item()
    return {name: term / len(targets.areas) for name, term in terms.items()}


def slow_masks(output: RefOutput, targets: RefTargets) -> dict[str, float]:
    """Of one person a prompt."""
    terms = dict.fromkeys(OF_MASKS, 0.0)
    assert output.masks is not None
    for row in range(len(targets.areas)):
        if targets.mask_known[row]:
            own, true = output.masks[row], targets.masks[row : row + 1]
            for name, logits, stride in (("mask", own, 1), ("half_mask", halved(own), 2)):
                focal, dice = slow_losses(logits, true, stride)
                terms[f"{name}_focal"] += 2 * focal / len(targets.areas)
                terms[f"{name}_dice"] += 5 * dice / len(targets.areas)
    return terms


def test_all_terms_are_those_of_a_slow_version() -> None:
    layers, targets = [proposals(4), answers(4, 2), answers(4, 3)], people(4)
    found = {name: term.item() for name, term in losses(layers, targets).items()}
    each = [slow_layer(layer, targets, [0, 1, 2, 3]) for layer in layers]
    expected = {name: sum(one[name] for one in each) for name in OF_LAYERS}
    expected |= slow_masks(layers[-1], targets)
    assert all(expected.values())
    assert found == pytest.approx({**expected, "loss": sum(expected.values())}, rel=1e-4)


def test_of_several_people_a_prompt_all_terms_are_those_of_a_slow_version() -> None:
    prompt_of = [0, 0, 2, 2, 2]
    output, targets = answers(3, masks=3), people(5)
    found = losses([output], targets, torch.tensor(prompt_of))
    expected = slow_layer(output, targets, prompt_of)
    assert {n: found[n].item() for n in OF_LAYERS} == pytest.approx(expected, rel=1e-4)
    # Its places: the first two masks of the first prompt, all three of the third.
    assert output.masks is not None
    own = output.masks.flatten(0, 1)[[0, 1, 6, 7, 8]].detach()[targets.mask_known]
    focal, dice = slow_losses(own, targets.masks[targets.mask_known], 1)
    assert found["mask_focal"].item() == pytest.approx(2 * focal / 5, rel=1e-4)
    assert found["mask_dice"].item() == pytest.approx(5 * dice / 5, rel=1e-4)


def test_the_loss_is_the_sum_of_its_weighted_terms() -> None:
    output, targets = answers(), people()
    matches = match(output, targets)
    once = referring_losses([output], targets, matches)
    weights = LossWeights(*(3 * weight for weight in vars(LossWeights()).values()))
    thrice = referring_losses([output], targets, matches, weights=weights)
    for name, term in once.items():
        torch.testing.assert_close(thrice[name], 3 * term)
    assert set(once) == {*OF_LAYERS, *OF_MASKS, "loss"}
    torch.testing.assert_close(once["loss"], sum(once[n] for n in (*OF_LAYERS, *OF_MASKS)))


def test_a_batch_costs_the_mean_of_its_prompts() -> None:
    output, targets = answers(), people()
    together = losses([output], targets)
    alone = [losses([prompt_alone(output, n)], rows(targets, [n])) for n in range(3)]
    for name, term in together.items():
        torch.testing.assert_close(term, sum(one[name] for one in alone) / 3)


def test_the_truth_costs_next_to_nothing() -> None:
    targets = people(4)
    targets.masks[targets.masks == UNKNOWN] = 0
    found = losses([perfect(targets, 1)._replace(masks=None), perfect(targets)], targets)
    for name, term in found.items():
        # Half a mask's logits are the mean of four, of which the truth is one pixel.
        assert term.item() < (
            0.5 if name in ("half_mask_dice", "half_mask_focal", "loss") else 1e-3
        )


@pytest.mark.parametrize("field", ["boxes_cxcywh", "keypoints", "visible", "masks"])
def test_each_mistake_costs_its_own_terms(field: str) -> None:
    """Where the truth is another one, no other term rises."""
    targets = people(4)
    targets.masks[targets.masks == UNKNOWN] = 0
    output = perfect(targets)
    before = losses([output], targets)
    wrong = getattr(targets, field)
    wrong = wrong.flip(1) if field == "keypoints" else 1 - wrong
    after = losses([output], targets._replace(**{field: wrong}))
    dearer = {name for name in before if after[name] > before[name] + 0.1} - {"loss"}
    expected = {
        "boxes_cxcywh": {"box", "giou"},
        "keypoints": {"keypoints", "oks"},
        "visible": {"visibility"},
        "masks": set(OF_MASKS),
    }
    assert dearer == expected[field]


def test_a_wrong_logit_costs_the_person_alone() -> None:
    targets = people(3)
    output = perfect(targets, 1)
    matches = match(output, targets)
    before = referring_losses([output], targets, matches)
    wrong = output._replace(logits=output.logits.roll(1, dims=1))
    after = referring_losses([wrong], targets, matches)
    # Of the two logits that are wrong by 12, the one counts a quarter and the other three.
    assert after["person"].item() == pytest.approx(2 * 12 * (0.25 + 0.75), rel=1e-3)
    assert before["person"] < 1e-3
    for name in (*OF_LAYERS[1:], *OF_MASKS):
        assert torch.equal(after[name], before[name])


def test_the_second_column_of_the_logits_counts_nowhere() -> None:
    output, targets = answers(), people()
    other = output.logits.detach().clone()
    other[..., 1] += 7
    before, after = losses([output], targets), losses([output._replace(logits=other)], targets)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_whose_mask_is_not_known_has_no_term_of_it() -> None:
    output, targets = answers(), people()
    losses([output], targets)["loss"].backward()
    assert output.masks is not None and output.masks.grad is not None
    assert [bool(one.any()) for one in output.masks.grad] == targets.mask_known.tolist()
    nobody = targets._replace(mask_known=torch.zeros(3, dtype=torch.bool))
    found = losses([answers()], nobody)
    assert [found[name].item() for name in OF_MASKS] == [0] * 4


def test_who_has_no_known_keypoint_has_no_term_of_the_pose() -> None:
    output, targets = answers(), people()
    assert not targets.visible[2].any()
    losses([output], targets)["loss"].backward()
    assert output.visibility is not None
    for tensor in (output.keypoints, output.visibility):
        assert tensor.grad is not None
        assert [bool(one.any()) for one in tensor.grad] == [True, True, False]


def test_only_the_matched_group_learns_box_and_pose() -> None:
    output, targets = answers(), people()
    groups = match(output, targets).groups.tolist()
    losses([output], targets)["loss"].backward()
    for tensor in (output.boxes_cxcywh, output.keypoints, output.visibility):
        assert tensor is not None and tensor.grad is not None
        moved = {(n, g) for n in range(3) for g in range(GROUPS) if tensor.grad[n, g].any()}
        assert moved <= set(enumerate(groups)) and len(moved) >= 2
    assert output.logits.grad is not None and output.logits.grad[..., 0].all()


def test_each_layer_is_matched_for_itself() -> None:
    targets = people(3)
    first, last = perfect(targets, 1), perfect(targets, 3)
    for layers in ([first, last], [last, first]):
        assert losses(layers, targets)["person"] < 1e-3


def test_an_unrefined_map_may_be_given_for_half_the_resolution() -> None:
    output, targets = answers(), people()
    matches = match(output, targets)
    coarse = torch.randn(3, 1, SIDE // 2, SIDE // 2)
    given = referring_losses([output], targets, matches, half_masks=coarse)
    known = targets.mask_known
    focal, dice = slow_losses(coarse[known, 0], targets.masks[known], 2)
    assert given["half_mask_focal"].item() == pytest.approx(2 * focal / 3, rel=1e-4)
    assert given["half_mask_dice"].item() == pytest.approx(5 * dice / 3, rel=1e-4)
    own = losses([output], targets)
    assert given["mask_dice"] == own["mask_dice"] and given["loss"] != own["loss"]


@pytest.mark.parametrize("prompts", [0, 2])
def test_without_people_every_group_is_nobody_and_all_is_finite(prompts: int) -> None:
    output, nobody = answers(prompts), torch.zeros(0, dtype=torch.int64)
    found = losses([proposals(prompts), output], people(0), nobody)
    found["loss"].backward()
    assert all(term.isfinite() for term in found.values())
    assert (found["person"] > 0) == (prompts > 0)
    assert all(found[name] == 0 for name in (*OF_LAYERS[1:], *OF_MASKS))
    for tensor in output:
        assert tensor is not None and tensor.grad is not None and tensor.grad.isfinite().all()


def degenerate() -> list[RefTargets]:
    """Nothing known, no area, on the border of the square."""
    targets = people(3)
    zero, one = torch.zeros(3, 4), torch.ones(3, 4)
    nothing = targets._replace(
        visible=torch.zeros_like(targets.visible), mask_known=torch.zeros(3, dtype=torch.bool)
    )
    unknown = torch.full_like(targets.masks, UNKNOWN)
    return [
        nothing,
        targets._replace(boxes_cxcywh=zero, areas=torch.zeros(3)),
        targets._replace(boxes_cxcywh=one),
        targets._replace(masks=unknown, mask_known=torch.ones(3, dtype=torch.bool)),
    ]


@pytest.mark.parametrize("targets", degenerate())
@pytest.mark.parametrize("extreme", [False, True])
def test_all_is_finite_whatever_is_true_and_answered(targets: RefTargets, extreme: bool) -> None:
    output = answers()
    if extreme:  # logits as far as fp16 goes, boxes without area, all keypoints at one place
        size, zero = torch.tensor(6e4), torch.zeros(())
        ends = [size, zero, zero, -size, size]
        output = RefOutput(
            *(
                end.expand_as(field).clone().requires_grad_()
                for end, field in zip(ends, output, strict=True)
                if field is not None
            )
        )
    found = losses([output._replace(masks=None, visibility=None), output], targets)
    found["loss"].backward()
    assert all(term.isfinite() for term in found.values())
    for tensor in output:
        assert tensor is not None and tensor.grad is not None and tensor.grad.isfinite().all()


def test_answers_of_half_precision_are_reckoned_in_full() -> None:
    output, targets = answers(), people()
    short = RefOutput(*(f.detach().bfloat16() for f in output if f is not None))
    found = losses([short], targets)
    widened = losses([RefOutput(*(f.float() for f in short if f is not None))], targets)
    assert all(term.dtype == torch.float32 for term in found.values())
    assert all(torch.equal(found[name], widened[name]) for name in found)


def test_a_few_steps_bring_the_answer_to_the_truth() -> None:
    targets = people(3)
    leaves = [f.detach().clone() for f in answers() if f is not None]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    optimiser = torch.optim.Adam(leaves, lr=0.05)
    seen: list[float] = []
    for _ in range(150):
        raw = RefOutput(*leaves)
        assert raw.boxes_cxcywh is not None
        output = raw._replace(
            boxes_cxcywh=raw.boxes_cxcywh.sigmoid(), keypoints=raw.keypoints.sigmoid()
        )
        loss = losses([output], targets)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(loss.item())
    assert seen[-1] < 0.15 * seen[0]
