"""What all hierarchical mask heads share: the arguments that build them and what they answer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from peopleseg.systems.people.contract import ROI_SIZE_HW

UNET_CHANNELS = 2  # the person logit x and its negation, as two class logits


class HeadOutput(NamedTuple):
    """All outputs of a head; N rois of h x w, masks of 2h x 2w."""

    mask_logits: Tensor  # [N, 3, 2h, 2w]: background, target, non-target
    person_logits: Tensor  # [N, 2, 2h, 2w]: background, person
    target_logits: Tensor  # [N, 2, 2h, 2w]: target, non-target
    contour_logits: Tensor | None = None  # [N, 1, 2h, 2w], of the published heads, when refining
    distance: Tensor | None = None  # [N, 1, 2h, 2w], likewise
    presence_logit: Tensor | None = None  # [N, 1], of the heads that judge presence


class MaskHead(nn.Module):
    """A network that is served as `hierarchical_head`.

    `feature_channels` > 0 gives the fused form, which also reads roi-aligned YOLOv9 features of
    that many channels (any size). Without `reads_person_logit` it does without the people UNet, to
    compare with. `roi_size_hw` is what it is trained and served at.

    `judges_presence`: whether it also says if the box is a person's at all, as the second stage of
    Faster R-CNN does (arXiv:1506.01497), from what it has pooled over the roi; the layers of the
    masks get no gradients from that.

    A subclass's `forward(roi_rgb, roi_logit=None, roi_features=None, *, refine=False)` takes
    roi_rgb [N, 3, h, w] in [0, 1], roi_logit [N, 1, h, w] and roi_features [N, C', any, any], and
    gives a `HeadOutput`; `refine` also runs what only losses read.
    """

    def __init__(
        self,
        variant: str,
        feature_channels: int = 0,
        reads_person_logit: bool = True,
        roi_size_hw: Sequence[int] = ROI_SIZE_HW,
        judges_presence: bool = False,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.feature_channels = feature_channels
        self.reads_person_logit = reads_person_logit
        self.roi_size_hw = (roi_size_hw[0], roi_size_hw[1])
        self.judges_presence = judges_presence

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {
            "variant": self.variant,
            "feature_channels": self.feature_channels,
            "reads_person_logit": self.reads_person_logit,
            "roi_size_hw": list(self.roi_size_hw),
            # Left out where it is not so: checkpoints from before it go on as they are.
            **({"judges_presence": True} if self.judges_presence else {}),
        }

    @property
    def mask_size_hw(self) -> tuple[int, int]:
        """Cells of a mask: twice the roi's."""
        return 2 * self.roi_size_hw[0], 2 * self.roi_size_hw[1]


def combine(person_logits: Tensor, target_logits: Tensor) -> Tensor:
    """Logits of background, target and non-target, from those of the two branches.

    The person logit is raised for target and non-target by that branch's logit times the
    probability of person. [N, 2, H, W] twice to [N, 3, H, W].
    """
    background, person = person_logits.split(1, dim=1)
    person_probability = (person - background).sigmoid()  # the softmax of two
    return torch.cat((background, person + target_logits * person_probability), dim=1)
