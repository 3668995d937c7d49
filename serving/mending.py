"""What a server does to a model repository before it reads it.

A repository has any number of servers, and one of them at most writes before it starts: the only
one that runs. Those that find another one there, or that may not write, take the files as they are.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from peopleseg.releases import disk, servers

_LOG = logging.getLogger(__name__)


def name_others(repository: Path) -> list[str]:
    """The servers that run on the repository, each also told to whoever starts another one."""
    others = servers.running(repository)
    for other in others:
        _LOG.warning("%s serves %s too; this start changes none of its files", other, repository)
    return others


def mend_unless_served(repository: Path, others: Sequence[str]) -> None:
    """Finish or undo what a killed release left, where no others serve and it may be written.

    To be called when nothing else keeps the server from starting. Raises what `disk.recover` does.
    """
    disk.recover(repository, disk.LOCK_WAIT_S, others)
    if stale := disk.files_behind(repository):
        _LOG.warning(
            "%s may not be written now and still load versions of an earlier release; a server "
            "that uses them will not come up",
            ", ".join(str(path.relative_to(repository)) for path in stale),
        )
