"""How the networks of one family are exported, as each system says of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conversion.export.accuracy import Accuracy
from conversion.export.exportable import Exportable
from conversion.export.inputs import Inputs
from conversion.export.settings import Settings
from peopleseg.networks.checkpoint import Loaded


@dataclass(frozen=True)
class Source:
    """A network, and those whose outputs it reads."""

    exportable: Exportable
    loaded: Loaded  # with the companions of a head


@dataclass(frozen=True)
class Family:
    """What is to be known of a family beyond its networks in torch.

    exportable: of a network, and of the options named in `options`. inputs: with the model
    repository, whose networks serve where a checkpoint lacks those beside it. annotated: what
    accuracy is measured on. together: several networks as one, in families that can be.
    """

    exportable: Callable[..., Exportable]
    inputs: Callable[[Source, Path], Inputs]
    annotated: Callable[[Settings], list[Any]]
    accuracy: Callable[[Exportable, Sequence[Any], Inputs], Accuracy]
    options: tuple[str, ...] = ()
    together: Callable[[Sequence[Loaded]], Loaded] | None = None


def of_network(make: Callable[[Any], Exportable]) -> Callable[[Loaded], Exportable]:
    """`exportable` of a family whose networks alone say how they are exported."""
    return lambda loaded: make(loaded.network)
