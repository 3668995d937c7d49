"""The families that can be exported: each system brings its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from conversion.export.exportable import Exportable
from conversion.export.family import Family
from peopleseg.networks.checkpoint import CheckpointError, Loaded
from peopleseg.systems.known import parts

_SYSTEMS = parts("conversion.{}.families")
FAMILIES: dict[str, Family] = {
    name: family for system in _SYSTEMS for name, family in system.FAMILIES.items()
}
# Option of some families to what the others say of it; {family} is the name of one.
NOT_THEIRS: dict[str, str] = {
    option: said for system in _SYSTEMS for option, said in system.NOT_THEIRS.items()
}


def of_network(loaded: Loaded, **options: Any) -> Exportable:
    """The network of a checkpoint as it is exported.

    options: those of its family; None is as if left out. Raises CheckpointError for a network that
    no model of the repository can be, and for an option of other families.
    """
    family = FAMILIES[loaded.family]
    given = _given(options)
    for name in given:
        if name not in family.options:
            raise CheckpointError(NOT_THEIRS[name].format(family=loaded.family))
    return family.exportable(loaded, **given)


def joined(loaded: Sequence[Loaded]) -> Loaded:
    """Several networks as one of the same model. Raises CheckpointError where they cannot be."""
    first, *others = loaded
    if not others:
        return first
    families = {one.family for one in loaded}
    together = FAMILIES[first.family].together
    if together is None or len(families) > 1:
        raise CheckpointError(
            f"{' and '.join(sorted(families))} cannot be one network; leave out --with"
        )
    return together(loaded)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
