"""Whether the ensembles on disk are those of the releases on record."""

from collections.abc import Mapping

from peopleseg.releases import journal
from peopleseg.releases.journal import Record


def edited_pins(attempts: list[Record], pinned: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Where ensembles pin other versions than the release that serves, one line a system.

    pinned: by system, what the ensembles on disk pin.
    """
    if journal.unfinished(attempts):
        return []  # between two releases
    told = []
    for system, pins in pinned.items():
        release = journal.serving(journal.of_system(attempts, system))
        if release is None:
            continue
        differing = [step for step, pin in pins.items() if pin != release.versions.get(step, pin)]
        if differing:
            found = ", ".join(f"{step}/{pins[step]}" for step in differing)
            told.append(
                f"the configs of {system} have {found}, which release {release.number} "
                f"{release.name} has not; undo the edit, or release these versions"
            )
    return told
