"""The families of the referring system's networks, by the names that checkpoints give them."""

from collections.abc import Callable

from torch import nn

from peopleseg.networks.referring.network import ReferringNetwork

FAMILIES: dict[str, Callable[..., nn.Module]] = {"referring": ReferringNetwork}
COMPANIONS: dict[str, str] = {}
