"""Which group answers for which person: the cheapest assignment, by the Hungarian method.

As in DETR (arXiv:2005.12872), with the costs of the loss's own terms.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from peopleseg.networks.referring.outputs import RefOutput
from training.referring.targets import RefTargets
from training.referring.terms import (
    PERSON,
    LossWeights,
    box_distance,
    focal,
    giou_loss,
    keypoint_distance,
    oks_loss,
)

DIVERGED = 1e6  # cost of a group whose numbers are not finite: above all others


class Matches(NamedTuple):
    """n pairs of a group and a person, in the order of the prompts. Groups are in one pair each."""

    prompts: Tensor  # [n] int64
    groups: Tensor  # [n] int64, of the prompt's Q
    targets: Tensor  # [n] int64, rows of RefTargets

    @property
    def places(self) -> Tensor:
        """[n] int64: which of its prompt's pairs each is, from 0 on."""
        numbers = torch.arange(len(self.prompts), device=self.prompts.device)
        return numbers - torch.searchsorted(self.prompts, self.prompts)

    def asked_groups(self, prompts: int) -> Tensor:
        """[P, M] int64 of so many prompts: the groups whose masks the loss needs.

        M is the most pairs of a prompt, at least 1; where a prompt has fewer, group 0 stands in and
        its mask does not count. Row p holds the pairs of prompt p by `places`.
        """
        places = self.places
        most = int(places.max()) + 1 if len(places) else 1
        groups = self.groups.new_zeros(prompts, most)
        groups[self.prompts, places] = self.groups
        return groups


def match(
    output: RefOutput,
    targets: RefTargets,
    prompt_of: Tensor | None = None,
    weights: LossWeights = LossWeights(),  # noqa: B008  (frozen)
) -> Matches:
    """The cheapest pairs of one layer; people beyond the Q groups of their prompt have none.

    prompt_of: [T] int64, the prompt that each of T targets belongs to, any number of each prompt;
    None: one target for each prompt, in their order. Runs on the CPU.
    """
    rows = _prompts(output, prompt_of)
    costs = match_costs(output, targets, rows, weights).nan_to_num(DIVERGED, DIVERGED, -DIVERGED)
    table, of = costs.cpu().numpy(), rows.cpu().numpy()
    pairs = [np.zeros((3, 0), dtype=np.int64)]
    for prompt in np.unique(of):
        own = np.flatnonzero(of == prompt)
        people, groups = linear_sum_assignment(table[own])
        pairs.append(np.stack((np.full_like(groups, prompt), groups, own[people])))
    return Matches(*torch.from_numpy(np.concatenate(pairs, axis=1)).to(rows.device))


@torch.no_grad()
def match_costs(
    output: RefOutput, targets: RefTargets, prompt_of: Tensor, weights: LossWeights
) -> Tensor:
    """[T, Q] fp32: of every target, with every group of its prompt.

    The focal loss of the logit as a person's less that as nobody's, and the terms of box and pose
    with their weights; no box where the output has none, no pose where no keypoint is known.
    """
    logits = output.logits[prompt_of, :, PERSON].float()
    as_nobody = focal(logits, torch.zeros_like(logits))
    costs = weights.person * (focal(logits, torch.ones_like(logits)) - as_nobody)
    if output.boxes_cxcywh is not None:
        found, true = output.boxes_cxcywh[prompt_of].float(), targets.boxes_cxcywh[:, None]
        costs += weights.box * box_distance(found, true) + weights.giou * giou_loss(found, true)
    found, true = output.keypoints[prompt_of].float(), targets.keypoints[:, None]
    visible, areas = targets.visible[:, None], targets.areas[:, None]
    costs += weights.keypoints * keypoint_distance(found, true, visible)
    costs += weights.oks * oks_loss(found, true, visible, areas)
    return costs


def _prompts(output: RefOutput, prompt_of: Tensor | None) -> Tensor:
    if prompt_of is not None:
        return prompt_of
    return torch.arange(len(output.logits), device=output.logits.device)
