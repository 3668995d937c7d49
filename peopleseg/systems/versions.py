"""The Python step that a version runs: of the code in its folder, or of this project's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, invalidate_caches
from pathlib import Path

from peopleseg.repository import frozen_code
from peopleseg.repository.manifest import ArtifactError, StepManifest
from peopleseg.systems.step import Step

ADAPTER = "serving.triton_step"  # between Triton and the step
_KEPT = "peopleseg.errors"  # shared by all versions, so that an InvalidInput of any can be caught
_OURS = ("peopleseg", "serving")


def place_of(step: type[Step]) -> str:
    """How a manifest names a step."""
    return f"{step.__module__}:{step.__qualname__}"


def code_of(step: type[Step]) -> bytes:
    """The archive of a step's code as it is now."""
    return frozen_code.archive([step.__module__, ADAPTER])


def python_step(folder: Path, current: type[Step]) -> type[Step]:
    """The class that a version of a Python step runs. Raises ArtifactError.

    current: as this project has it now. It is what runs in a version without code of its own, made
    before versions had it, and in one whose code is the same.
    """
    manifest = StepManifest.read(folder)
    if not manifest.code or manifest.code == digest_now(current):
        return current
    return _frozen(folder / frozen_code.FILE_NAME, manifest.code, manifest.step)


@cache
def digest_now(step: type[Step]) -> str:
    """That of a step's code as it is now, by which versions are told apart."""
    return frozen_code.digest(code_of(step))


@cache
def _frozen(archive: Path, digest: str, place: str) -> type[Step]:
    """digest: so that another file in the same place is another step."""
    module, _, name = place.partition(":")
    try:
        with _modules_of(archive):
            found: type[Step] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArtifactError(f"{archive} does not have {place} ({error})") from error
    return found


@contextmanager
def _modules_of(archive: Path) -> Iterator[None]:
    """Import this project's modules from an archive; afterwards everything is as it was."""
    before = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    for name in before.keys() - {_KEPT}:
        del sys.modules[name]
    sys.path.insert(0, str(archive))
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(archive))
        sys.path_importer_cache.pop(str(archive), None)
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS
