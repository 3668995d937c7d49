"""The loss of a network that finds the person meant by a prompt.

Every group is a person's or nobody's (`matching`). What the terms are is in `terms` and
`mask_losses`. They are sums over the matched people over the number of all people, as in DETR, so
that everybody whose mask or pose is known has the same weight in every batch; published for UniPHD.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.referring.outputs import RefOutput
from training.referring.mask_losses import halved, mask_losses
from training.referring.matching import Matches, match
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

Terms = dict[str, Tensor]


def referring_losses(
    layers: Sequence[RefOutput],
    targets: RefTargets,
    matches: Matches,
    prompt_of: Tensor | None = None,
    half_masks: Tensor | None = None,
    weights: LossWeights = LossWeights(),  # noqa: B008  (frozen)
) -> Terms:
    """Every term, weighted and summed over the layers, and their sum as "loss"; all scalars.

    layers: the encoder's proposals and the decoder's layers, in any order but that the last one
    answers; it may have masks [P, M, H, W] of the groups `matches.asked_groups`. matches: of that
    last layer, as `match` gives them; the others are matched here, each for itself. prompt_of: see
    `match`. half_masks: [P, M, h, w], an unrefined map of the same masks at half their resolution;
    None: the masks themselves, halved.
    """
    total: Terms = {}
    for number, output in enumerate(layers, start=1):
        own = matches if number == len(layers) else match(output, targets, prompt_of, weights)
        for name, term in layer_terms(output, targets, own, weights).items():
            total[name] = total.get(name, 0) + term
    if (masks := layers[-1].masks) is not None:
        total |= mask_terms(masks, half_masks, targets, matches, weights)
    return {**total, "loss": torch.stack(list(total.values())).sum()}


def layer_terms(
    output: RefOutput, targets: RefTargets, matches: Matches, weights: LossWeights
) -> Terms:
    """Of class, box and pose, and visibility where the layer says it; weighted."""
    people = max(len(targets.areas), 1)
    rows = (matches.prompts, matches.groups)
    terms = {"person": weights.person * _person(output.logits, rows) / people}
    if output.boxes_cxcywh is not None:
        boxes = output.boxes_cxcywh[rows].float(), targets.boxes_cxcywh[matches.targets]
        terms["box"] = weights.box * box_distance(*boxes).sum() / people
        terms["giou"] = weights.giou * giou_loss(*boxes).sum() / people
    visible = targets.visible[matches.targets]
    pose = output.keypoints[rows].float(), targets.keypoints[matches.targets], visible
    unlike = oks_loss(*pose, targets.areas[matches.targets])
    terms["keypoints"] = weights.keypoints * keypoint_distance(*pose).sum() / people
    terms["oks"] = weights.oks * unlike.sum() / people
    if output.visibility is not None:
        unseen = _visibility(output.visibility[rows].float(), visible)
        terms["visibility"] = weights.visibility * unseen / people
    return terms


def mask_terms(
    masks: Tensor,
    half_masks: Tensor | None,
    targets: RefTargets,
    matches: Matches,
    weights: LossWeights,
) -> Terms:
    """Focal and Dice loss at both resolutions, of the people whose mask is known; weighted.

    masks, half_masks: see `referring_losses`.
    """
    people = max(len(targets.areas), 1)
    known = targets.mask_known[matches.targets]
    rows = (matches.prompts[known], matches.places[known])
    true = targets.masks[matches.targets[known]]
    fine = masks[rows]
    half = halved(fine) if half_masks is None else half_masks[rows]
    terms = {}
    for name, logits in (("mask", fine), ("half_mask", half)):
        focal_loss, dice = mask_losses(logits, true)
        terms[f"{name}_focal"] = weights.mask_focal * focal_loss / people
        terms[f"{name}_dice"] = weights.mask_dice * dice / people
    return terms


def _person(logits: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
    """Summed over all groups.

    Of the person's column alone: the other would be told 0 in every group, and nothing reads it.
    """
    logits = logits[..., PERSON].float()
    true = torch.zeros_like(logits)
    true[rows] = 1
    return focal(logits, true).sum()


def _visibility(logits: Tensor, visible: Tensor) -> Tensor:
    """Mean binary cross-entropy of the keypoints, summed over the people [n, 17].

    Of a person without any known keypoint nobody said which are visible.
    """
    posed = visible.any(dim=1)[:, None]
    entropies = F.binary_cross_entropy_with_logits(logits, visible, reduction="none") * posed
    return entropies.mean(dim=1).sum()
