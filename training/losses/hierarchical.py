"""The loss of the hierarchical mask head: both branches, the final masks and the refinement.

Terms and weights of PINTO0309/human-instance-segmentation (MIT), RGB Hierarchical UNet V2.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.people.mask_head import HeadOutput
from training.data.samples import BACKGROUND, IGNORED, NON_TARGET, TARGET
from training.losses.class_weights import (
    BalancedWeights,
    pixel_weights,
    roi_class_weights,
    weighted_cross_entropy,
)
from training.losses.dice import dice_loss
from training.losses.distance_aware import distance_aware_cross_entropy
from training.losses.refinement import (
    boundary_loss,
    contour_loss,
    contour_weight,
    distance_loss,
    known_mean,
)

PERSON_GAIN = 1.2  # of people over background, on top of the balance


class HierarchicalLoss(nn.Module):
    """Weighted sum of the terms; see `forward`.

    The masks' own terms are `mask` and `dice`; all others are auxiliary.
    """

    class_weights: Tensor

    def __init__(
        self,
        *,
        mask: float = 1.0,
        dice: float = 1.0,
        person: float = 1.5,
        target: float = 1.5,
        consistency: float = 0.3,
        presence: float = 1.0,
        boundary: float = 0.1,
        contour: float = 0.1,
        distance: float = 0.1,
        auxiliary_weight: float = 1.0,
        distance_aware: bool = False,
        class_weights: Sequence[float] | Path | None = None,
    ) -> None:
        """mask ... distance: weights of the terms. auxiliary_weight: factor on the auxiliary ones.

        distance_aware: in `mask`, pixels near boundaries count more. class_weights: in `mask`; see
        `roi_class_weights`.
        """
        super().__init__()
        auxiliary = {"person": person, "target": target, "consistency": consistency}
        auxiliary |= {"boundary": boundary, "contour": contour, "distance": distance}
        auxiliary = {name: auxiliary_weight * weight for name, weight in auxiliary.items()}
        self.term_weights = {"mask": mask, "dice": dice, **auxiliary, "presence": presence}
        self.distance_aware = distance_aware
        self.person_weights = BalancedWeights(gains=(1.0, PERSON_GAIN))
        self.target_weights = BalancedWeights(gains=(1.0, 1.0))
        weights = roi_class_weights(class_weights or (1.0, 1.0, 1.0))
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, output: HeadOutput, labels: Tensor, present: Tensor | None = None
    ) -> dict[str, Tensor]:
        """labels: [N, 2h, 2w] int64 of background 0, target 1, non-target 2, and of IGNORED, where
        nothing counts; N may be 0. present: [N] bool, whose box is a person's; None for all.

        The weighted terms by name, and their sum as "loss"; scalars:

        - mask: cross-entropy of the three classes; dice: of the target.
        - person: cross-entropy of background and person, target: of target and non-target over
          people's pixels; both with balanced class weights.
        - consistency: squared difference of the person branch's and the masks' person probability.
        - boundary: cross-entropy with weight on boundaries.
        - presence: cross-entropy of `present`, of a head that judges it.
        - contour, distance: of the refinement branches, when they were asked for.
        """
        if present is None:
            present = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
        terms = self._terms(output, labels, present)
        weights = dict(self.term_weights)
        weights["contour"] = contour_weight(weights["contour"], *labels.shape[1:])
        weighted = {name: weights[name] * term for name, term in terms.items()}
        return {**weighted, "loss": torch.stack(list(weighted.values())).sum()}

    def _terms(self, output: HeadOutput, labels: Tensor, present: Tensor) -> dict[str, Tensor]:
        probability = output.mask_logits.float().softmax(dim=1)
        person = output.person_logits.float().softmax(dim=1)[:, 1]
        disagreement = person - probability[:, TARGET] - probability[:, NON_TARGET]
        terms = {
            "mask": self._mask(output.mask_logits, labels),
            "dice": self._dice(probability[:, TARGET], labels),
            "person": self._person(output.person_logits, labels),
            "target": self._target(output.target_logits, labels),
            "consistency": known_mean(disagreement**2, labels),
            "boundary": boundary_loss(output.mask_logits, labels),
        }
        if output.presence_logit is not None:
            logit = output.presence_logit[:, 0].float()
            entropy = F.binary_cross_entropy_with_logits(logit, present.float(), reduction="sum")
            terms["presence"] = entropy / max(len(present), 1)
        if output.contour_logits is not None:
            terms["contour"] = contour_loss(output.contour_logits, labels)
        if output.distance is not None:
            terms["distance"] = distance_loss(output.distance, labels)
        return terms

    def _mask(self, mask_logits: Tensor, labels: Tensor) -> Tensor:
        if self.distance_aware:
            return distance_aware_cross_entropy(mask_logits, labels, self.class_weights)
        weights = pixel_weights(self.class_weights, labels)
        return weighted_cross_entropy(mask_logits, labels, weights)

    def _dice(self, target_probability: Tensor, labels: Tensor) -> Tensor:
        """Of the rois with a target: where nobody is, an overlap has no slope but at its end."""
        somebody = (labels == TARGET).flatten(1).any(dim=1)
        known = target_probability * (labels != IGNORED)
        return dice_loss(known[somebody], labels[somebody] == TARGET)

    def _person(self, person_logits: Tensor, labels: Tensor) -> Tensor:
        is_person = (labels != BACKGROUND).long().where(labels != IGNORED, IGNORED)
        weights = pixel_weights(self.person_weights(is_person), is_person)
        return weighted_cross_entropy(person_logits, is_person, weights)

    def _target(self, target_logits: Tensor, labels: Tensor) -> Tensor:
        people = (labels == TARGET) | (labels == NON_TARGET)
        which = (labels == NON_TARGET).long().where(people, IGNORED)
        weights = pixel_weights(self.target_weights(which), which)
        return weighted_cross_entropy(target_logits, which, weights)
