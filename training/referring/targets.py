"""What is true of the people that the prompts of a batch mean."""

from typing import NamedTuple

from torch import Tensor


class RefTargets(NamedTuple):
    """Of P prompts, one person each. Positions and areas are shares of the square."""

    boxes_cxcywh: Tensor  # [P, 4] fp32
    keypoints: Tensor  # [P, 17, 2] fp32: x, y of COCO's keypoints
    visible: Tensor  # [P, 17] fp32: 1 where COCO's visibility is above 0, so the position known
    masks: Tensor  # [P, S, S] uint8: 1 the person, 0 not, 255 unknown
    mask_known: Tensor  # [P] bool
    areas: Tensor  # [P] fp32: of the person, share of the square's pixels
