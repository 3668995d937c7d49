"""A committed version never changes, and the newest of each Python step runs the code as it is.

`tests/data/committed_versions.sha256` has the digests. After adding or deleting versions:

    python -m tests.unit.peopleseg.systems.test_committed_versions
"""

from pathlib import Path

import pytest

from peopleseg.repository.manifest import StepManifest, sha256
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.systems.known import PYTHON_STEPS, STEPS
from peopleseg.systems.versions import digest_now

DIGESTS = Path(__file__).parents[3] / "data" / "committed_versions.sha256"


def digests() -> dict[str, str]:
    """Of every file of every version, by its path in the repository."""
    folders = (
        MODEL_REPOSITORY / step / str(version)
        for step in STEPS
        for version in versions_in(MODEL_REPOSITORY / step)
    )
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(MODEL_REPOSITORY).as_posix(): sha256(path) for path in files}


def recorded() -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in DIGESTS.read_text().splitlines())
    return {path: digest for digest, path in lines}


def test_no_committed_version_has_changed() -> None:
    known, found = recorded(), digests()
    changed = [path for path in known.keys() & found.keys() if known[path] != found[path]]
    assert not changed, f"versions never change; make new ones instead of changing {changed}"
    assert found.keys() == known.keys(), "versions were added or deleted; see this file's docstring"


@pytest.mark.parametrize("name", PYTHON_STEPS)
def test_the_newest_version_runs_the_code_as_it_is(name: str) -> None:
    newest = max(versions_in(MODEL_REPOSITORY / name))
    manifest = StepManifest.read(MODEL_REPOSITORY / name / str(newest))
    assert manifest.code == digest_now(PYTHON_STEPS[name]), (
        f"{name}/{newest} has older code; make a version: peopleseg new-step-version {name}"
    )


if __name__ == "__main__":
    DIGESTS.write_text("".join(f"{digest}  {path}\n" for path, digest in digests().items()))
