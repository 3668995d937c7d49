"""Import people-segmentation UNets, such as `best_model_b0_0.8741.pth`.

Of ternaus/people_segmentation and PINTO0309/human-instance-segmentation (both MIT): a UNet of
segmentation_models_pytorch on an EfficientNet encoder, saved bare or within a training module.
"""

import re
from pathlib import Path

from peopleseg.networks.people.people_unet import PeopleUNet
from training.pretrained.state_dict import State, WeightsError, load_exactly, read_state_dict

# The encoder's entries in a state dict tell the variants apart; the norms' counters may be missing.
ENCODER_ENTRIES = {309: "b0", 437: "b1", 494: "b3", 1035: "b7"}
_COUNTER = "num_batches_tracked"
_SHOWN = 3  # names in a message
_PREFIXES = re.compile(r"^((model|unet)\.)+")


def import_people_unet(path: Path) -> PeopleUNet:
    """The UNet of a published checkpoint, in evaluation mode.

    Raises WeightsError (KeysDoNotFit for entries that do not fit), OSError.
    """
    state = read_state_dict(path)
    bare = {_PREFIXES.sub("", key): value for key, value in state.items()}
    if len(bare) < len(state):
        raise WeightsError(
            f"{path} holds more than one network; save one UNet's state_dict() alone"
        )
    return people_unet_from(bare, str(path))


def people_unet_from(state: State, source: str) -> PeopleUNet:
    """The UNet of the entries `encoder.*`, `decoder.*` and `segmentation_head.*`."""
    network = PeopleUNet(_variant(state, source))
    load_exactly(network, state, source, published=lambda key: key.removeprefix("unet."))
    return network.eval()


def _variant(state: State, source: str) -> str:
    counted = [key for key in state if not key.endswith(_COUNTER)]
    entries = sum(key.startswith("encoder.") for key in counted)
    if entries not in ENCODER_ENTRIES:
        expected = ", ".join(f"{count} ({name})" for count, name in ENCODER_ENTRIES.items())
        raise WeightsError(
            f"{source} has {entries} entries encoder.*, where a people UNet has {expected}; its "
            f"first ones are {', '.join(counted[:_SHOWN])}, expected were names like "
            "encoder.conv_stem.weight; import a checkpoint of one of these encoders"
        )
    return ENCODER_ENTRIES[entries]
