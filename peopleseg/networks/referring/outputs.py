"""What a network that finds the person meant by a prompt answers."""

from typing import NamedTuple

from torch import Tensor


class RefOutput(NamedTuple):
    """Of P prompts, each answered by Q groups: a group is one guess at the person.

    Positions are shares of the square's side. None stands for what a layer does not say: the
    encoder's proposals have neither visibility nor masks, and only the last layer has masks.
    """

    logits: Tensor  # [P, Q, 2] float: column 0 is the person meant; 1 is unused, as published
    boxes_cxcywh: Tensor | None  # [P, Q, 4] float in (0, 1)
    keypoints: Tensor  # [P, Q, 17, 2] float in (0, 1): x, y of COCO's keypoints
    visibility: Tensor | None  # [P, Q, 17] logits: whether a keypoint's position is known
    masks: Tensor | None  # [P, M, H, W] logits, of the M groups that were asked for
