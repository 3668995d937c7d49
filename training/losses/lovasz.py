"""The Lovasz hinge's softmax sibling, for two classes (Berman et al. 2018, arXiv:1705.08790).

The Jaccard loss, 1 - IoU, of a set of wrong pixels, extended to how wrong each one is: an image's
IoU of people and of background, averaged, is what `people_seg_miou` measures.
"""

import torch
from torch import Tensor


def lovasz_loss(probability: Tensor, person: Tensor, known: Tensor) -> Tensor:
    """Of each image the mean over people and background, then the mean; a scalar in [0, 1].

    probability: of a person, [B, ...]; person, known: bool of the same shape. Pixels that are not
    known do not count. In an image without a class its loss is the most wrong pixel's, as one
    pixel of it by mistake makes its IoU 0. 0 for B = 0.
    """
    known = known.flatten(1)
    people = person.flatten(1) & known
    wrong = (people.float() - probability.flatten(1).float()).abs() * known
    wrong, order = wrong.sort(dim=1, descending=True)
    losses = [
        (wrong * jaccard_steps(belongs.gather(1, order))).sum(dim=1)
        for belongs in (people, ~people & known)
    ]
    return torch.stack(losses).sum() / max(2 * len(wrong), 1)


def jaccard_steps(belongs: Tensor) -> Tensor:
    """By how much the Jaccard loss grows when the pixels become wrong one after the other.

    belongs: [B, P] bool, whether each pixel is of the class. float32 [B, P], which sums to 1.
    """
    total = belongs.sum(dim=1, keepdim=True)
    wrong = belongs.cumsum(dim=1)  # of the class, and not found
    intersection = (total - wrong).float()
    union = total + (~belongs).cumsum(dim=1)
    loss = 1 - intersection / union.clamp(min=1)
    return torch.diff(loss, dim=1, prepend=loss.new_zeros(len(loss), 1))
