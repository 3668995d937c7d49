"""What the network of a prompt has to find."""

from typing import NamedTuple

from torch import Tensor


class RefTargets(NamedTuple):
    """The one person of each of P prompts; every other group of queries is nobody.

    All is relative to the square (0 to 1) that the network sees, S pixels a side.
    """

    boxes_cxcywh: Tensor  # float32 (P, 4)
    keypoints: Tensor  # float32 (P, 17, 2) x, y
    visible: Tensor  # float32 (P, 17) 1 where the position is known; all 0: the pose is not known
    masks: Tensor  # uint8 (P, S, S): 1 the person, 0 not, 255 not known
    mask_known: Tensor  # bool (P,)
    areas: Tensor  # float32 (P,) share of the square's pixels
