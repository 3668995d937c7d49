"""Bring a running server to what is on disk, after a killed release or a killed command."""

from collections.abc import Collection, Mapping
from pathlib import Path

from conversion.release import candidates, variants
from conversion.release.server import ModelControl
from peopleseg.releases import journal
from peopleseg.releases.disk import kept_by_all
from peopleseg.releases.errors import ControlError
from peopleseg.releases.journal import Record
from peopleseg.releases.plan import read_config
from peopleseg.systems.known import ENSEMBLES, STEPS, SYSTEMS
from peopleseg.systems.wiring import pinned, served


def settle(repository: Path, control: ModelControl, attempts: list[Record]) -> list[str]:
    """Let the server serve what is on disk, and nothing that a killed release left in its memory.

    Nothing happens where all is well. Returns the ensembles that the server has. Raises
    ControlError when it has none of them.
    """
    unload_leftovers(control)
    on_disk = served(repository, SYSTEMS)
    unload_gone(control, on_disk)
    configs = {name: control.config(name) for name in on_disk}
    released = _released_last(attempts)
    # A server may have been told to load a few of the ensembles only; then it is left at that.
    here = [name for name, config in configs.items() if config is not None or name in released]
    if all(config is None for config in configs.values()):
        raise ControlError(
            f"{control.url} serves no ensemble of {repository}; start it with `peopleseg serve`, "
            "or release without a server, with --offline"
        )
    texts = {name: read_config(repository, name) or "" for name in here}
    behind = {
        name: text
        for name, text in texts.items()
        if configs[name] is None or pinned(configs[name]) != pinned(text)
    }
    kept = kept_by_all(repository, attempts)
    if behind:
        keep_loaded(repository, control, kept, besides=True)
        control.load_in_memory(candidates.swap_of(behind))
        control.unload(candidates.SWAP)
    keep_loaded(repository, control, kept)
    return here


def _released_last(attempts: list[Record]) -> set[str]:
    """The ensembles that the last change of each system was about."""
    changes = (journal.last_change(journal.of_system(attempts, one.name)) for one in SYSTEMS)
    return {name for change in changes if change for name in change.ensembles}


def unload_leftovers(control: ModelControl) -> None:
    """Unload what releases, this one or a killed one, have in memory only."""
    for name in candidates.IN_MEMORY:
        control.unload(name)


def unload_gone(control: ModelControl, ensembles: Collection[str]) -> None:
    """Unload the other ensembles, which are not on disk any more."""
    for name in ENSEMBLES:
        if name not in ensembles and control.config(name) is not None:
            control.unload(name)


def load_versions(
    repository: Path, control: ModelControl, step: str, versions: Collection[int]
) -> None:
    """Have exactly these versions of a step loaded, in memory only. Raises ControlError."""
    used = control.config(step)
    if used is not None:
        config = variants.config_of(used, repository / step)
    else:
        others = sorted(STEPS.keys() & control.loaded().keys())
        config = variants.config_as(
            {repository / name: control.config(name) for name in others}, repository / step
        )
    control.load_versions(config, versions)


def keep_loaded(
    repository: Path,
    control: ModelControl,
    kept: Mapping[str, list[int]],
    *,
    besides: bool = False,
) -> None:
    """Have these versions loaded of every step that the server has, and no others.

    A step that is not named is one that no ensemble on disk has any more. besides: keep what else
    is loaded.
    """
    loaded = control.loaded()
    for step in STEPS.keys() & loaded.keys() - kept.keys():
        if not besides:
            control.unload(step)
    for step, versions in kept.items():
        there = loaded.get(step)
        needed = set(versions) | (there if besides and there else set())
        if there and there != needed:
            load_versions(repository, control, step, needed)
