"""Whether the ensembles on disk are those of the releases on record."""

from pathlib import Path

from peopleseg.releases import journal
from peopleseg.releases.journal import Journal
from peopleseg.releases.plan import current_versions
from peopleseg.systems.known import SYSTEMS


def edited_pins(repository: Path) -> list[str]:
    """Where an ensemble pins other versions than the release that serves, one line a system.

    Raises ReleaseError for configs or a record that cannot be read.
    """
    attempts = Journal(repository).attempts()
    if journal.unfinished(attempts):
        return []  # between two releases
    told = []
    for system in SYSTEMS:
        release = journal.serving(journal.of_system(attempts, system.name))
        if release is None:
            continue
        pins = current_versions(repository, system)
        differing = [step for step, pin in pins.items() if pin != release.versions.get(step, pin)]
        if differing:
            found = ", ".join(f"{step}/{pins[step]}" for step in differing)
            told.append(
                f"the configs of {system.name} have {found}, which release {release.number} "
                f"{release.name} has not; undo the edit, or release these versions"
            )
    return told
