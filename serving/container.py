"""What the container runs: Triton with every ensemble of a model repository.

  python3 -m serving.container /models [TRITON ARGUMENT ...]

A release that was killed between two files is finished, or undone, before Triton reads them. Where
PEOPLESEG_BIND opens the ports to other machines, model control takes the key PEOPLESEG_ADMIN_KEY.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from peopleseg.releases import disk
from peopleseg.releases.errors import ReleaseError
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.wiring import served
from serving.exposure import exposure

TRITON = "tritonserver"
BIND_VARIABLE, LOOPBACK = "PEOPLESEG_BIND", "127.0.0.1"  # where compose opens the ports


def main(argv: Sequence[str]) -> int:
    """Become Triton. Returns, 1, when the repository cannot be served."""
    repository = Path(argv[0])
    try:
        disk.recover(repository, disk.LOCK_WAIT_S)
    except ReleaseError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"peopleseg: {repository} cannot be checked for a release that was interrupted: "
            f"{error}; mount it writable for user {os.getuid()}",
            file=sys.stderr,
        )
        return 1
    ensembles = served(repository, SYSTEMS)
    if not ensembles:
        print(f"peopleseg: {repository} has no ensemble to serve", file=sys.stderr)
        return 1
    try:
        exposed = exposure(os.environ.get(BIND_VARIABLE, LOOPBACK), argv[1:])
    except ReleaseError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    if exposed.said:
        print(f"peopleseg: {exposed.said}", file=sys.stderr)
    loaded = [f"--load-model={name}" for name in ensembles]
    arguments = [f"--model-repository={repository}", *loaded, *argv[1:], *exposed.arguments]
    os.execvp(TRITON, [TRITON, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
