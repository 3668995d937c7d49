"""Run one server process and leave nothing of it behind, whoever dies first.

    python serving/guard.py RUNTIME_FOLDER GRACE_S COMMAND [ARGUMENT ...]

Triton's Python steps are processes of their own (stubs) and can outlive a server that crashed or
was killed. The guard stands between `Server` (server.py) and the server's process:

- its standard input is a pipe that only the parent holds. Anything written there, or its end when
  the parent dies, is the request to stop: SIGTERM, and SIGKILL after GRACE_S seconds;
- when the server ends, for whatever reason, the guard kills what is left of its process group,
  removes its shared memory and the runtime folder, and exits with the server's status (128 + n
  for signal n);
- should the guard itself be killed, the kernel kills the server, and the parent calls
  `clear_away` in the guard's place.

Its standard output carries one line, the server's process id; standard error is the log.
It runs without the project on its path, so it imports the standard library only.
"""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CHECK_S = 1.0  # how often to look at the parent and at the server's shared memory
REAP_S = 5.0  # how long killed processes may take to disappear
# Named after the backend, "python" or a Python-based one, and a random id.
REGION = re.compile(r"/dev/shm/triton_\w+_backend_shm_region\S*")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the parent answers these

_libc = ctypes.CDLL(None, use_errno=True)


def guard(runtime_folder: Path, grace_s: float, command: list[str]) -> int:
    """Run the command until it ends or the parent asks; the status to exit with."""
    parent = os.getppid()
    # Orphans of the server become children of the guard: none can be missed, each is reaped.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
        preexec_fn=_prepare_server,
    )
    print(server.pid, flush=True)
    ended = os.pidfd_open(server.pid)
    regions = _wait_for_end_or_request(server.pid, ended, parent)
    if not _is_readable(ended, timeout_s=0):
        os.kill(server.pid, signal.SIGTERM)
        _is_readable(ended, timeout_s=grace_s)
    # The server is not reaped yet, so its process group's number cannot belong to another.
    clear_away(server.pid, runtime_folder, regions)
    status = server.wait()
    _reap_orphans()
    return status if status >= 0 else 128 - status


def clear_away(server_pid: int, runtime_folder: Path, regions: Iterable[Path] = ()) -> None:
    """End the server's process group; remove its runtime folder and its shared memory.

    regions: further shared memory, that no process of the group may have mapped any more.
    """
    members = processes_of_group(server_pid)
    regions = {*regions, *shared_memory_regions(members)}
    ends = _open_ends(members)
    with suppress(ProcessLookupError):  # nothing is left of the group
        os.killpg(server_pid, signal.SIGKILL)
    _wait_for(ends)  # until then a killed process holds its ports
    for region in regions:
        region.unlink(missing_ok=True)
    shutil.rmtree(runtime_folder, ignore_errors=True)


def processes_of_group(group: int) -> list[int]:
    """Ids of the running processes of a process group."""
    members = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(ProcessLookupError):  # it ended meanwhile
            if os.getpgid(int(name)) == group:
                members.append(int(name))
    return members


def _open_ends(pids: Iterable[int]) -> list[int]:
    """Descriptors that are readable once their process, with all of its threads, has ended."""
    ends = []
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended meanwhile
            ends.append(os.pidfd_open(pid))
    return ends


def _wait_for(ends: Iterable[int]) -> None:
    """Until each is readable, for `REAP_S` at most; closes them."""
    deadline = time.monotonic() + REAP_S
    for end in ends:
        _is_readable(end, timeout_s=max(0.0, deadline - time.monotonic()))
        os.close(end)


def shared_memory_regions(pids: Iterable[int]) -> set[Path]:
    """Files under /dev/shm of Triton's Python backend that the processes have mapped."""
    regions: set[Path] = set()
    for pid in pids:
        with suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text()
            regions.update(Path(path) for path in REGION.findall(maps))
    return regions


def _wait_for_end_or_request(server_pid: int, ended: int, parent: int) -> set[Path]:
    """Return when the server ended, the pipe was written to or closed, or the parent is gone.

    The result is the shared memory seen: a server that ends without cleaning shows it no more.
    """
    request = sys.stdin.fileno()
    regions: set[Path] = set()
    while True:
        readable, _, _ = select.select([ended, request], [], [], CHECK_S)
        regions |= shared_memory_regions([server_pid])
        # A process that the parent forked may still hold the pipe: hence the look at the parent.
        if readable or os.getppid() != parent:
            return regions


def _is_readable(descriptor: int, timeout_s: float) -> bool:
    return bool(select.select([descriptor], [], [], timeout_s)[0])


def _reap_orphans() -> None:
    """Kill and wait for the processes that the dead server left to the guard."""
    deadline = time.monotonic() + REAP_S
    while time.monotonic() < deadline:
        for child in _children():
            os.kill(child, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return


def _children() -> list[int]:
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: the process group was killed anyway
        return []


def _prepare_server() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    sys.exit(guard(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
