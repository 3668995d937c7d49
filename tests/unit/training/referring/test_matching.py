"""Which group answers for whom, against trying all assignments."""

from itertools import permutations

import pytest
import torch
from torch import Tensor

from peopleseg.networks.referring.outputs import RefOutput
from tests.unit.training.referring.made_up import (
    GROUPS,
    answers,
    people,
    perfect,
    prompt_alone,
    proposals,
    rows,
)
from tests.unit.training.referring.test_terms import slow_focal, slow_giou_loss
from training.referring.matching import Matches, match, match_costs
from training.referring.targets import RefTargets
from training.referring.terms import LossWeights, keypoint_distance, oks_loss

SEVERAL = [0, 0, 0, 1, 3, 3, 3, 3]  # people of each of five prompts: 3, 1, 0, 4, 0


def slow_cost(output: RefOutput, prompt: int, group: int, targets: RefTargets, row: int) -> float:
    """With the weights written out."""
    logit = output.logits[prompt, group, 0].item()
    cost = 2 * (slow_focal(logit, 1) - slow_focal(logit, 0))
    if output.boxes_cxcywh is not None:
        found = output.boxes_cxcywh[prompt, group].tolist()
        true = targets.boxes_cxcywh[row].tolist()
        cost += 5 * sum(abs(a - b) for a, b in zip(found, true, strict=True))
        cost += 2 * slow_giou_loss(found, true)
    pose = output.keypoints[prompt, group], targets.keypoints[row], targets.visible[row]
    cost += 10 * keypoint_distance(*pose).item()
    return cost + 4 * oks_loss(*pose, targets.areas[row]).item()


def as_sets(matches: Matches) -> set[tuple[int, int, int]]:
    """Prompt, group and target of each pair."""
    return set(zip(*(field.tolist() for field in matches), strict=True))


def slow_match(
    output: RefOutput, targets: RefTargets, prompt_of: list[int]
) -> set[tuple[int, int, int]]:
    """The cheapest of all ways to give each person of a prompt a group of their own."""
    pairs = set()
    for prompt in sorted(set(prompt_of)):
        own = [row for row, of in enumerate(prompt_of) if of == prompt]
        costs = [[slow_cost(output, prompt, g, targets, row) for g in range(GROUPS)] for row in own]
        ways = [
            (sum(one[g] for one, g in zip(costs, groups, strict=True)), groups)
            for groups in permutations(range(GROUPS), len(own))
        ]
        pairs |= {(prompt, g, row) for g, row in zip(min(ways)[1], own, strict=True)}
    return pairs


@pytest.mark.parametrize("boxes", [True, False])
def test_costs_are_those_of_a_slow_version(boxes: bool) -> None:
    output, targets = answers(5), people(len(SEVERAL))
    if not boxes:
        output = output._replace(boxes_cxcywh=None)
    found = match_costs(output, targets, torch.tensor(SEVERAL), LossWeights())
    for row, prompt in enumerate(SEVERAL):
        expected = [slow_cost(output, prompt, group, targets, row) for group in range(GROUPS)]
        assert found[row].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_one_person_a_prompt_gets_the_cheapest_group(seed: int) -> None:
    output, targets = answers(4, seed), people(4, seed)
    assert as_sets(match(output, targets)) == slow_match(output, targets, [0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(5))
def test_several_people_a_prompt_get_the_cheapest_groups_together(seed: int) -> None:
    output, targets = answers(5, seed), people(len(SEVERAL), seed)
    found = match(output, targets, torch.tensor(SEVERAL))
    assert as_sets(found) == slow_match(output, targets, SEVERAL)
    assert found.prompts.tolist() == SEVERAL


def test_the_order_of_targets_changes_nothing() -> None:
    output, targets, order = answers(5), people(len(SEVERAL)), [5, 0, 7, 3, 1, 6, 2, 4]
    shuffled = match(output, rows(targets, order), torch.tensor(SEVERAL)[order])
    renamed = {(prompt, group, order[row]) for prompt, group, row in as_sets(shuffled)}
    assert renamed == as_sets(match(output, targets, torch.tensor(SEVERAL)))


def test_a_batch_is_matched_as_its_prompts_alone() -> None:
    output, targets = answers(3), people(3)
    together = match(output, targets)
    for n in range(3):
        one = prompt_alone(output, n)
        assert match(one, rows(targets, [n])).groups == together.groups[n]


def test_the_group_that_is_the_truth_is_taken() -> None:
    targets = people(3)
    for group in range(GROUPS):
        output = perfect(targets, group)
        assert match(output, targets).groups.tolist() == [group] * 3
        assert match(output._replace(boxes_cxcywh=None), targets).groups.tolist() == [group] * 3


def test_of_whom_nothing_but_the_box_is_known_the_box_decides() -> None:
    targets = rows(people(3), [2])
    assert not targets.visible.any()
    output = perfect(targets, 1)
    keypoints = torch.rand(output.keypoints.shape)
    same = output._replace(keypoints=keypoints, logits=torch.zeros_like(output.logits))
    assert match(same, targets).groups.tolist() == [1]


def test_proposals_of_the_encoder_are_matched_too() -> None:
    output, targets = proposals(3), people(3)
    assert as_sets(match(output, targets)) == slow_match(output, targets, [0, 1, 2])


def test_people_beyond_the_groups_have_none() -> None:
    output, targets = answers(1), people(GROUPS + 2)
    found = match(output, targets, torch.zeros(GROUPS + 2, dtype=torch.int64))
    assert sorted(found.groups.tolist()) == list(range(GROUPS))
    assert len(set(found.targets.tolist())) == GROUPS


@pytest.mark.parametrize("prompts", [0, 2])
def test_without_anybody_there_are_no_pairs(prompts: int) -> None:
    nobody = torch.zeros(0, dtype=torch.int64)
    found = match(answers(prompts), people(0), nobody)
    assert [len(field) for field in found] == [0, 0, 0]
    assert found.places.tolist() == []
    assert found.asked_groups(prompts).tolist() == [[0]] * prompts


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_group_whose_numbers_are_not_finite_is_not_taken(value: float) -> None:
    targets = people(3)
    output = perfect(targets, 1)
    keypoints = output.keypoints.clone()
    keypoints[:2, 1] = value
    spoilt = output._replace(keypoints=keypoints)
    found = match(spoilt, targets).groups.tolist()
    assert found[0] != 1 and found[1] != 1
    everything = output._replace(keypoints=torch.full_like(keypoints, value))
    assert len(match(everything, targets).groups) == 3


def test_places_number_the_pairs_of_each_prompt_and_say_whose_masks_are_asked_for() -> None:
    output, targets = answers(5), people(len(SEVERAL))
    found = match(output, targets, torch.tensor(SEVERAL))
    assert found.places.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    asked = found.asked_groups(5)
    assert asked.shape == (5, 4)
    assert torch.equal(asked[found.prompts, found.places], found.groups)
    assert asked[1, 1:].tolist() == [0, 0, 0] and asked[2].tolist() == [0, 0, 0, 0]
    assert match(output, people(5)).asked_groups(5).shape == (5, 1)


def test_matching_leaves_no_gradient() -> None:
    output = answers(2)
    costs: Tensor = match_costs(output, people(2), torch.arange(2), LossWeights())
    assert not costs.requires_grad
