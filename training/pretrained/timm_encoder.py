"""Give a UNet's encoder timm's ImageNet weights, which segmentation_models_pytorch publishes."""

import os
import urllib.request
from urllib.error import HTTPError

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors.torch import load_file
from torch import nn

from peopleseg.networks.people_unet import ENCODERS
from training.pretrained.state_dict import load_exactly

DEFAULT_HUB = "https://huggingface.co"
ANSWER_TIMEOUT_S = 5.0
_FILE = "model.safetensors"


class WeightsUnavailable(RuntimeError):
    """Pretrained weights are neither on this machine nor to be had over the network."""


def load_imagenet_encoder(unet: nn.Module, variant: str) -> None:
    """Give the encoder of a bare people UNet its ImageNet weights, in place.

    They are downloaded once and kept in the Hugging Face cache; HF_ENDPOINT names a mirror of the
    hub. Raises WeightsUnavailable, within seconds, when this machine is offline and has none kept.
    """
    repository, revision = _published(variant)
    hub = os.environ.get("HF_ENDPOINT", DEFAULT_HUB)
    try:
        path = _kept_or_downloaded(repository, revision, hub)
    except (HfHubHTTPError, OSError) as error:
        raise WeightsUnavailable(
            f"the ImageNet weights of {ENCODERS[variant]} ({repository}/{_FILE}) are not on this "
            f"machine, and {hub} does not give them ({error}); go online once, set HF_ENDPOINT to "
            "a mirror, or train from scratch with --model.encoder_weights null"
        ) from error
    load_exactly(unet.get_submodule("encoder"), load_file(path), path)


def _published(variant: str) -> tuple[str, str]:
    """Repository and revision on the hub."""
    from segmentation_models_pytorch.encoders import encoders

    settings = encoders[ENCODERS[variant]]["pretrained_settings"]["imagenet"]
    return settings["repo_id"], settings["revision"]


def _kept_or_downloaded(repository: str, revision: str, hub: str) -> str:
    try:
        return hf_hub_download(repository, _FILE, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        _require_answer(hub)  # the download itself would retry for half a minute
        return hf_hub_download(repository, _FILE, revision=revision, endpoint=hub)


def _require_answer(url: str) -> None:
    """Raises OSError unless something answers, be it with an error."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=ANSWER_TIMEOUT_S
        ):
            pass
    except HTTPError as error:
        error.close()
