"""Every variant of the hierarchical mask head by its name."""

from typing import Any

from peopleseg.networks.people import people_unet
from peopleseg.networks.people.hierarchical import VARIANTS, PersonMaskHead
from peopleseg.networks.people.lite_head import LITE, LiteMaskHead
from peopleseg.networks.people.mask_head import MaskHead

# The people UNet that each variant is trained beside.
PEOPLE_UNETS = {name: variant.people_unet for name, variant in VARIANTS.items()}
PEOPLE_UNETS[LITE] = people_unet.LITE


def person_mask_head(
    variant: str = "b0", *, judges_presence: bool = False, **dims: Any
) -> MaskHead:
    """A head with random weights; dims as of `MaskHead`.

    Raises ValueError for another variant, and where one that cannot is to judge presence.
    """
    if variant not in PEOPLE_UNETS:
        raise ValueError(f"head variant {variant!r} is not one of {', '.join(PEOPLE_UNETS)}")
    if variant == LITE:
        return LiteMaskHead(judges_presence=judges_presence, **dims)
    if judges_presence:
        raise ValueError(f"judges_presence: the {LITE} head does, {variant} does not")
    return PersonMaskHead(variant, **dims)
