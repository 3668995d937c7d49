"""The processes of a server's Python steps, and which versions lack some of theirs.

Triton never starts a step's process again, and calls its version ready all the same. So a version
that is ready and has fewer processes than instances has lost some. One that is unloaded is not
ready any more before its first process ends.
"""

import os
import select
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from serving.control import Control, Version
from serving.guard import processes_of_group

_PROGRAM = "triton_python_backend_stub"
_SHARED_MEMORY = Path("/dev/shm")


class Stub(NamedTuple):
    """A running process of a step."""

    pid: int
    version: Version
    region: Path  # its shared memory


class Stubs:
    """Looked at again and again, tells which versions have lost a process."""

    def __init__(self) -> None:
        self._whole: dict[Version, int] = {}  # processes of those that were seen with all of them
        self._lacking: set[Version] = set()  # at the last look
        self._running: set[Stub] = set()
        self._is_settled = False

    @property
    def is_settled(self) -> bool:
        """Whether every version is as it should be, as far as is known."""
        return self._is_settled

    def wait(self, triton: int, timeout_s: float) -> None:
        """Return as soon as the server or a process of a step ends, at the latest after a while."""
        poll = select.poll()
        with ExitStack() as descriptors:
            for pid in (triton, *(stub.pid for stub in self._running)):
                with suppress(ProcessLookupError):
                    descriptor = os.pidfd_open(pid)
                    descriptors.callback(os.close, descriptor)
                    poll.register(descriptor, select.POLLIN)
            poll.poll(timeout_s * 1000)

    def dead(self, triton: int, control: Control) -> set[Version]:
        """Versions that are ready, and lacked a process at this look and the one before.

        triton: the id of the server's process. The server is asked only when a process came or
        went; the shared memory of one that went is removed. Raises NoAnswer.
        """
        running = set(stubs_of(triton))
        if self._is_settled and running == self._running:
            return set()
        for ended in self._running - running:  # Triton leaves some of a dead one's behind
            ended.region.unlink(missing_ok=True)
        self._is_settled, self._running = False, running
        living = Counter(stub.version for stub in running)
        ready = control.ready()
        self._whole = {version: self._whole[version] for version in self._whole.keys() & ready}
        for version in living.keys() & ready - self._whole.keys():
            if living[version] == (instances := control.instances(version.model)):
                self._whole[version] = instances
        lacking = {version for version, count in self._whole.items() if living[version] < count}
        dead = lacking & self._lacking
        self._lacking = lacking
        self._is_settled = not lacking and living.keys() <= self._whole.keys()
        return dead


def stubs_of(triton: int) -> list[Stub]:
    """The running processes of the Python steps of a server, by the id of its process."""
    found = []
    for pid in processes_of_group(triton):
        with suppress(OSError, ValueError, IndexError):  # it ended meanwhile
            program, model_file, region, *_ = _command(pid)
            folder = Path(model_file).parent
            if Path(program).name == _PROGRAM:  # of an ended process the command is empty
                version = Version(folder.parent.name, int(folder.name))
                found.append(Stub(pid, version, _SHARED_MEMORY / region))
    return found


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
