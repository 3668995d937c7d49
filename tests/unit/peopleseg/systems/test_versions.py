"""A version of a Python step runs the code that it was made with, whatever became of it since."""

import io
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from conversion.step_version import new_step_version
from peopleseg.checks.check import faults
from peopleseg.errors import InvalidInput
from peopleseg.pixels import geometry
from peopleseg.repository import frozen_code
from peopleseg.repository.manifest import ArtifactError, StepManifest
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.steps.postprocess import Postprocess
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.versions import code_of, python_step
from tests.data.small_repository import write_images, write_small_repository

ROOT = Path(__file__).parents[4]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_small_repository(tmp_path / "repository")


@pytest.fixture
def other_code(tmp_path: Path) -> Path:
    """A copy of the project."""
    copied = tmp_path / "project"
    for name in ("peopleseg", "serving"):
        shutil.copytree(
            ROOT / name, copied / name, ignore=shutil.ignore_patterns("__pycache__", "networks")
        )
    return copied


@contextmanager
def made_of(root: Path) -> Iterator[None]:
    """Versions that are made meanwhile have the code of another project."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(frozen_code, "ROOT", root)
        yield


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def names_in(archive: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return set(packed.namelist())


def test_the_code_is_what_the_step_imports_and_no_more() -> None:
    names = names_in(code_of(Postprocess))
    assert names >= {
        "peopleseg/__init__.py",
        "peopleseg/errors.py",
        "peopleseg/pixels/masks.py",
        "peopleseg/systems/people/steps/postprocess.py",
        "serving/triton_step.py",
    }
    others = ("peopleseg/networks", "peopleseg/client", "peopleseg/cli", "peopleseg/releases")
    assert not any(name.startswith(others) for name in names)
    assert "peopleseg/systems/shared/preprocess.py" not in names


def test_the_same_code_has_the_same_digest_and_other_code_another(other_code: Path) -> None:
    first = code_of(Postprocess)
    assert code_of(Postprocess) == first
    assert frozen_code.digest(code_of(Preprocess)) != frozen_code.digest(first)
    with made_of(other_code):
        assert frozen_code.digest(code_of(Postprocess)) == frozen_code.digest(first)
        with (other_code / "peopleseg" / "pixels" / "masks.py").open("a") as file:
            file.write("\n# changed\n")
        assert frozen_code.digest(code_of(Postprocess)) != frozen_code.digest(first)


def test_a_version_runs_the_code_that_it_was_made_with(repository: Path, other_code: Path) -> None:
    images, _ = write_images(repository.parent / "images", count=1)
    image = (images / "0.png").read_bytes()
    now = PeoplePipeline(repository).segment(image)
    edit(
        other_code / "peopleseg" / "systems" / "people" / "response.py",
        "boxes = letterbox.boxes_to_image(rois[found, 1:])",
        "boxes = letterbox.boxes_to_image(rois[found, 1:]) + 7",
    )
    with made_of(other_code):
        version = int(new_step_version(repository, "postprocess", {}).name)
    then = PeoplePipeline(repository, versions={"postprocess": version}).segment(image)
    np.testing.assert_allclose(then.boxes, now.boxes + 7, atol=1e-3)
    np.testing.assert_array_equal(PeoplePipeline(repository).segment(image).boxes, now.boxes)
    assert faults(repository) == []


def test_other_code_leaves_the_modules_of_this_process_alone(
    repository: Path, other_code: Path
) -> None:
    with (other_code / "peopleseg" / "pixels" / "images.py").open("a") as file:
        file.write("\n# changed\n")
    with made_of(other_code):
        folder = new_step_version(repository, "preprocess", {"resize": "stretch"})
    before = dict(sys.modules)
    other = python_step(folder, Preprocess)
    assert other is not Preprocess and other.model.name == "preprocess"
    assert sys.modules["peopleseg.pixels.geometry"] is geometry
    assert {name for name in before if before[name] is not sys.modules.get(name)} == set()
    with pytest.raises(InvalidInput, match="image"):
        other().compute(["pixels"], image=np.array([b"no image"], dtype=np.object_))


def test_a_version_of_the_code_as_it_is_runs_it_directly(repository: Path) -> None:
    folder = new_step_version(repository, "preprocess", {"resize": "stretch"})
    assert python_step(folder, Preprocess) is Preprocess


def test_code_that_was_changed_in_its_folder_is_found(repository: Path) -> None:
    folder = new_step_version(repository, "preprocess", {"resize": "stretch"})
    archive = folder / frozen_code.FILE_NAME
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("peopleseg/more.py", "")
    with pytest.raises(ArtifactError, match=r"code.zip has code of digest \w+, its manifest says"):
        StepManifest.read(folder).verify(folder)
    archive.write_bytes(whole[:1000])
    assert any(
        "preprocess/2: " in fault and "cannot be read" in fault for fault in faults(repository)
    )
    archive.unlink()
    assert any("code.zip cannot be read" in fault for fault in faults(repository))


def test_a_version_of_a_newer_project_is_not_guessed_at(repository: Path) -> None:
    folder = new_step_version(repository, "preprocess", {"resize": "stretch"})
    path = folder / "manifest.json"
    edit(path, '"schema": 2', '"schema": 3')
    with pytest.raises(ArtifactError, match="has schema 3, this peopleseg reads up to 2"):
        StepManifest.read(folder)
