"""What an importer makes of a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Imported:
    """A network with `dims`, in evaluation mode, and what else its checkpoint holds."""

    network: Any
    companions: Mapping[str, Any] = field(default_factory=dict)  # networks with `dims`, by name
    metrics: Mapping[str, float] = field(default_factory=dict)  # that the file tells
