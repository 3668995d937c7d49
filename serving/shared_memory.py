"""Whether /dev/shm has room for the tensors of the Python steps.

Each of their processes has a pool there, from its start on, which grows with what requests carry.
Where it cannot grow Triton calls itself ready, and fails every request. So a server is refused that
has not the room to begin with: its pools, and in each one image's tensors more.

Measured with 12 processes of the people system, whose pools begin with 48 MB in all: 56 MB with one
caller, 60 MB with 4, 72 MB with 16.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config_file
from peopleseg.systems.wiring import pinned
from serving.errors import ServerStartError

MB = 1 << 20
FOLDER = Path("/dev/shm")
IMAGE_BYTES = 4 * MB  # pixels 1.2 MB, person_logit 1.6 MB, features 2.0 MB; no step has all
_POOL = "shm-default-byte-size="
_VARIANT = "--model-config-name="


def check_shared_memory(
    repository: Path,
    models: Iterable[str],
    backends: Collection[str],
    pool_bytes: int,
    arguments: Sequence[str],
) -> None:
    """Raises ServerStartError where there is too little, with how much is needed.

    backends: those whose models run in processes of their own. pool_bytes: of each of these, unless
    Triton's arguments say otherwise.
    """
    count = processes(repository, models, backends, _last(_VARIANT, arguments))
    pool_bytes = int(_last(_POOL, arguments) or pool_bytes)
    needed = count * (pool_bytes + IMAGE_BYTES)
    if (free := free_bytes()) < needed:
        raise ServerStartError(
            f"{FOLDER} has {free // MB} MB free, and {count} processes of steps need "
            f"{-(-needed // MB)} MB: each {pool_bytes / MB:g} MB at its start and "
            f"{IMAGE_BYTES // MB} MB for an image's tensors. Give it more: "
            f"`--shm-size` of docker run, `shm_size:` of compose, an emptyDir of medium Memory in "
            f"Kubernetes, or `mount -o remount,size=...m {FOLDER}`"
        )


def free_bytes() -> int:
    """What is left of the shared memory."""
    found = os.statvfs(FOLDER)
    return found.f_bavail * found.f_frsize


def why_full(pool_bytes: int) -> str | None:
    """Why no pool, which grows by so much, can grow any more; None where one can."""
    if (free := free_bytes()) >= pool_bytes:
        return None
    return f"{FOLDER} has {free // MB} MB left, so that no step's pool can grow"


def processes(
    repository: Path, models: Iterable[str], backends: Collection[str], variant: str | None
) -> int:
    """How many processes a server starts for models, and for the steps that ensembles pin.

    variant: whose configs/NAME.pbtxt are read where there are any. A config that cannot be read
    counts for none: Triton says what is wrong with it.
    """
    found: dict[str, int] = {}
    waiting = list(models)
    while waiting:
        name = waiting.pop()
        if name not in found:
            try:
                config = parse_config_file(_config_file(repository / name, variant))
            except (OSError, ConfigError):
                continue
            waiting += pinned(config)
            found[name] = _instances(config) if config.backend in backends else 0
    return sum(found.values())


def _instances(config: Any) -> int:
    """Of all versions that the config loads."""
    versions = len(config.version_policy.specific.versions) or 1
    groups = config.instance_group
    return versions * (sum((one.count or 1) * (len(one.gpus) or 1) for one in groups) or 1)


def _config_file(folder: Path, variant: str | None) -> Path:
    own = folder / "configs" / f"{variant}.pbtxt"
    return own if variant and own.is_file() else folder / CONFIG_FILE


def _last(option: str, arguments: Sequence[str]) -> str | None:
    values = [one.partition(option)[2] for one in arguments if option in one]
    return values[-1] if values else None
