"""Make a version folder that is complete or not there, whatever ends the process that makes it.

It is filled beside the others under a hidden name, which Triton and git leave alone, and renamed
at the end. A lock on the hidden folder, which the kernel frees when its process dies, tells an
export that runs from what a killed one left.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from peopleseg.repository.model_folder import versions_in

SCRATCH_PREFIX = ".export-"


@contextmanager
def scratch_folder(model_folder: Path) -> Iterator[Path]:
    """An empty folder beside a model's versions, gone afterwards unless `publish` renamed it.

    What exports that were killed left in `model_folder` is removed.
    """
    model_folder.mkdir(parents=True, exist_ok=True)
    with _locked(model_folder):
        _remove_leftovers(model_folder)
        scratch = Path(tempfile.mkdtemp(dir=model_folder, prefix=SCRATCH_PREFIX))
        own = os.open(scratch, os.O_RDONLY)
        fcntl.flock(own, fcntl.LOCK_EX)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(own)


def publish(scratch: Path) -> Path:
    """Make a scratch folder the next version of its model: all of it in one step."""
    model_folder = scratch.parent
    scratch.chmod(0o755)  # temporary folders are the owner's alone
    for path in (*scratch.iterdir(), scratch):
        _to_disk(path)
    with _locked(model_folder):
        version = model_folder / str(newest_version(model_folder) + 1)
        os.rename(scratch, version)
    _to_disk(model_folder)
    return version


def newest_version(model_folder: Path) -> int:
    """The highest number among the version folders, 0 without any."""
    return max(versions_in(model_folder), default=0)


def _remove_leftovers(model_folder: Path) -> None:
    for path in model_folder.glob(f"{SCRATCH_PREFIX}*"):
        with suppress(BlockingIOError), _locked(path, wait=False):
            shutil.rmtree(path)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Raises BlockingIOError where another process has it and `wait` is not set."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
