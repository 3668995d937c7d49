"""Import "RGB Hierarchical UNet V2" checkpoints of PINTO0309/human-instance-segmentation (MIT).

One file holds the mask head and the frozen people UNet it was trained beside. The head's names are
ours; the UNet's stand below `pretrained_unet.model.model.`.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from peopleseg.networks.normalise import IMAGENET_MEAN, IMAGENET_STD
from peopleseg.networks.people.hierarchical import (
    RGB_CHANNELS,
    VARIANTS,
    PersonMaskHead,
)
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.systems.people.contract import ROI_SIZE_HW
from training.pretrained.people_unet import people_unet_from
from training.pretrained.state_dict import (
    KeysDoNotFit,
    State,
    WeightsError,
    load_exactly,
    read_state_dict,
    without_prefix,
)

_UNET = "pretrained_unet.model.model."
_ENHANCED_UNET = "segmentation_head.base_head.bg_vs_fg_unet.encoders."
# What the published wrapper of the UNet stores beside it, and we have in code.
_CONSTANTS = {
    "pretrained_unet.model.norm_mean": IMAGENET_MEAN,
    "pretrained_unet.model.norm_std": IMAGENET_STD,
    "pretrained_unet.output_conv.bias": (0.0, 0.0),
}
# Its two class logits made of the one logit x: (x, -x), person first, as we have them. Some older
# files have them the other way round, and a combiner trained for that order.
_OUTPUT_CONV = "pretrained_unet.output_conv.weight"
_COMBINER = "feature_combiner.weight"  # reads 256 channels of RGB features, then the two logits


class ImportedHead(NamedTuple):
    """A mask head and its companion, in evaluation mode."""

    head: PersonMaskHead
    people_unet: PeopleUNet


def import_hierarchical(path: Path, roi_size_hw: tuple[int, int] = ROI_SIZE_HW) -> ImportedHead:
    """The head and the UNet of a published checkpoint.

    roi_size_hw: the size of the rois it was trained on, which is in the name of the published files
    (`best_model_b1_80x60_0.8551`) but not in their weights.

    Raises WeightsError (KeysDoNotFit for entries that do not fit), OSError.
    """
    state = read_state_dict(path)
    unet = people_unet_from(without_prefix(state, _UNET), f"{path} ({_UNET}*)")
    variant = _variant(state, unet.variant, path)
    head = PersonMaskHead(variant, roi_size_hw=roi_size_hw)
    rest = {key: value for key, value in state.items() if not key.startswith(_UNET)}
    rest = _without_constants(rest, path)
    load_exactly(head, _person_first(rest, path), str(path))
    return ImportedHead(head.eval(), unet)


def _variant(state: State, people_unet: str, path: Path) -> str:
    """The head variant of that encoder with the stored width and depth."""
    first = state.get(f"{_ENHANCED_UNET}0.0.weight")
    below = without_prefix(state, _ENHANCED_UNET)
    found = (
        people_unet,
        0 if first is None else first.shape[0],
        len({key.split(".")[0] for key in below}),
    )
    dims = {
        name: (variant.people_unet, variant.base_channels, variant.depth)
        for name, variant in VARIANTS.items()
    }
    for name, expected in dims.items():
        if found == expected:
            return name
    raise WeightsError(
        f"{path}: a head of encoder, base channels and depth {found} is none of the published "
        f"{', '.join(f'{name} {expected}' for name, expected in dims.items())}"
    )


def _without_constants(state: State, path: Path) -> State:
    """Raises WeightsError for a constant that is another one than ours."""
    missing = [key for key in (*_CONSTANTS, _OUTPUT_CONV) if key not in state]
    if missing:
        raise KeysDoNotFit(str(path), missing, [], {})
    for key, expected in _CONSTANTS.items():
        if not _equal(state[key], expected):
            raise _another_constant(path, key, state[key], f"{list(expected)}")
    return {key: value for key, value in state.items() if key not in _CONSTANTS}


def _person_first(state: State, path: Path) -> State:
    """The weights for the logits (x, -x), whichever order they were trained with."""
    rest = dict(state)
    stored = rest.pop(_OUTPUT_CONV)
    if _equal(stored, (1.0, -1.0)):
        return rest
    if not _equal(stored, (-1.0, 1.0)):
        raise _another_constant(path, _OUTPUT_CONV, stored, "[1, -1] or [-1, 1]")
    if _COMBINER not in rest:
        return rest
    combiner = rest[_COMBINER]
    logits = combiner[:, RGB_CHANNELS:]
    rest[_COMBINER] = torch.cat((combiner[:, :RGB_CHANNELS], logits.flip(1)), dim=1)
    return rest


def _equal(stored: Tensor, expected: tuple[float, ...]) -> bool:
    values = stored.float().flatten()
    return len(values) == len(expected) and torch.allclose(values, torch.tensor(expected))


def _another_constant(path: Path, key: str, stored: Tensor, expected: str) -> WeightsError:
    return WeightsError(
        f"{path}: {key} is {stored.flatten().tolist()}, where this network computes with "
        f"{expected}; a checkpoint trained with another constant cannot be imported"
    )
