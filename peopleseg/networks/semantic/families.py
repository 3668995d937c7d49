"""The families of the semantic system's networks, by the names that checkpoints give them."""

from collections.abc import Callable

from torch import nn

from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.semantic.pair import DeepLabPair

FAMILIES: dict[str, Callable[..., nn.Module]] = {"deeplab": DeepLab, "deeplab_pair": DeepLabPair}
COMPANIONS: dict[str, str] = {}
