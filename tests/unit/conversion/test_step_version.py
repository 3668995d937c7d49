"""New versions of Python steps: the newest code with other settings, whole or not at all."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conversion.step_version import SettingsError, new_step_version
from peopleseg.checks.check import faults
from peopleseg.cli.main import main
from peopleseg.pixels.images import prepare
from peopleseg.repository.manifest import ArtifactError, StepManifest
from peopleseg.repository.settings import FILE, settings_faults
from peopleseg.systems.known import PYTHON_STEPS as STEP_CLASSES
from peopleseg.systems.people.response import people_of
from peopleseg.systems.people.roi_align import FeatureAligner, RoiAligner
from peopleseg.systems.people.selection import select_people
from peopleseg.systems.referring.steps.crop_people import CropPeople
from peopleseg.systems.referring.steps.tokenize import Tokenize
from peopleseg.systems.semantic.postprocess_classes import PostprocessClasses
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.versions import digest_now
from tests.data.small_repository import write_small_repository

USES: dict[str, Callable[..., Any]] = {
    "preprocess": prepare,
    "crop_people": CropPeople,
    "tokenize": Tokenize,
    "postprocess_classes": PostprocessClasses,
    "select_people": select_people,
    "postprocess": people_of,
    "roi_align": RoiAligner,
    "roi_align_features": FeatureAligner,
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_small_repository(tmp_path / "repository")


def run(repository: Path, *arguments: str) -> int:
    return main(["new-step-version", *arguments, "--model-repository", str(repository)])


def test_a_new_version_has_the_same_code_and_the_settings_that_were_asked_for(
    repository: Path,
) -> None:
    folder = new_step_version(repository, "roi_align", {"sampling": "corner_to_corner"})
    assert folder == repository / "roi_align" / "2"
    old, new = (StepManifest.read(repository / "roi_align" / n) for n in ("1", "2"))
    assert new.settings == {**old.settings, "sampling": "corner_to_corner"}
    assert new.code == digest_now(STEP_CLASSES["roi_align"]) and new.step.endswith(":RoiAlign")
    new.verify(folder)
    assert faults(repository) == []


def test_settings_that_are_not_named_are_those_of_what_serves(repository: Path) -> None:
    new_step_version(repository, "select_people", {"min_score": 0.2})
    third = new_step_version(repository, "select_people", {"max_iou": 0.6})
    assert third.name == "3"
    serving = StepManifest.read(repository / "select_people" / "1").settings
    assert StepManifest.read(third).settings == {**serving, "max_iou": 0.6}


class Reader(Preprocess):
    """A step that has a file."""

    settings = {**Preprocess.settings, "words": FILE}

    def __init__(self, words: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.words = Path(words).read_text()


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(STEP_CLASSES, "preprocess", Reader)
    file = tmp_path / "words.txt"
    file.write_text("left right")
    return file


def test_a_version_keeps_a_copy_of_a_file_and_the_next_one_takes_it_over(
    repository: Path, words: Path
) -> None:
    for config in repository.glob("*/config.pbtxt"):
        if (
            'platform: "ensemble"' in config.read_text()
        ):  # nothing serves: the newest version is the one before
            config.unlink()
    first = new_step_version(repository, "preprocess", {"words": str(words)})
    words.unlink()
    second = new_step_version(repository, "preprocess", {"size": 320})
    for folder in (first, second):
        manifest = StepManifest.read(folder)
        manifest.verify(folder)
        assert manifest.settings["words"] == words.name
        assert Reader(**manifest.arguments(folder)).words == "left right"


def test_a_file_that_was_changed_in_a_version_is_found(repository: Path, words: Path) -> None:
    folder = new_step_version(repository, "preprocess", {"words": str(words)})
    (folder / words.name).write_text("up down")
    with pytest.raises(ArtifactError, match="words.txt has sha256"):
        StepManifest.read(folder).verify(folder)


@pytest.mark.parametrize("name", ["not_there.txt", "model.py"])
def test_a_file_that_is_not_there_or_would_replace_one_is_refused(
    repository: Path, words: Path, name: str
) -> None:
    named = words.with_name(name)
    if name == "model.py":
        named.write_text("")
    with pytest.raises(SettingsError, match=name):
        new_step_version(repository, "preprocess", {"words": str(named)})


def test_the_command_prints_the_folder_and_what_serves_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repository, "roi_align", "--set", "roi_size_hw=[80, 60]") == 0
    out = capsys.readouterr().out
    assert f"{repository / 'roi_align' / '2'}: settings" in out
    assert "peopleseg release NAME roi_align=2" in out
    assert StepManifest.read(repository / "roi_align" / "2").settings["roi_size_hw"] == [80, 60]


@pytest.mark.parametrize(
    ("step", "setting", "said"),
    [
        ("yolov9", "threads=2", "yolov9 is not a Python step of"),
        ("yolov10", "a=1", "yolov10 is not a Python step of"),
        ("../roi_align", "threads=2", "../roi_align is not a Python step"),
        ("postprocess_foreground", "a=1", "postprocess_foreground has no setting a; it has none"),
        ("postprocess", "a=1", "postprocess has no setting a; it has min_score"),
        ("roi_align", "sampling=corners", "expected half_pixel or corner_to_corner"),
        ("roi_align", "thread=2", "roi_align has no setting thread; it has sampling"),
        ("roi_align", "threads=0", "threads is 0; expected a whole number from 1 on"),
        ("roi_align", "roi_size_hw=64", "expected two numbers of cells"),
        ("select_people", "min_score=5", "min_score is 5; expected a number from 0 to 1"),
        ("select_people", "max_iou=half", "max_iou is 'half'"),
        ("preprocess", "resize=crop", "expected letterbox or stretch"),
    ],
)
def test_a_step_or_setting_that_there_is_not_is_refused_and_nothing_written(
    repository: Path, capsys: pytest.CaptureFixture[str], step: str, setting: str, said: str
) -> None:
    before = sorted(repository.rglob("*"))
    assert run(repository, step, "--set", setting) == 2
    assert said in capsys.readouterr().err
    assert sorted(repository.rglob("*")) == before


@pytest.mark.parametrize("text", ["sampling", "=3"])
def test_a_setting_without_a_value_is_wrong_usage(
    repository: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert run(repository, "roi_align", "--set", text) == 2
    assert "is not KEY=VALUE" in capsys.readouterr().err


def test_code_that_was_edited_in_place_is_not_copied(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (repository / "roi_align" / "1" / "model.py").open("a") as file:
        file.write("# edited\n")
    assert run(repository, "roi_align", "--set", "threads=2") == 1
    assert "model.py has sha256" in capsys.readouterr().err
    with pytest.raises(ArtifactError):
        new_step_version(repository, "roi_align", {"threads": 2})


def test_a_failure_on_the_way_leaves_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(repository.rglob("*"))

    def disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        new_step_version(repository, "roi_align", {"threads": 3})
    assert sorted(repository.rglob("*")) == before


@pytest.mark.parametrize("step", USES)
def test_the_settings_are_the_arguments_of_what_the_step_calls(step: str) -> None:
    parameters = inspect.signature(USES[step]).parameters
    assert set(STEP_CLASSES[step].settings) <= set(parameters)


@pytest.mark.parametrize("step", USES)
def test_the_settings_of_version_1_are_all_that_there_are(repository: Path, step: str) -> None:
    settings = StepManifest.read(repository / step / "1").settings
    assert set(settings) == set(STEP_CLASSES[step].settings)
    assert settings_faults(step, STEP_CLASSES[step].settings, settings) == []


def test_every_step_with_settings_is_looked_at() -> None:
    assert {name for name, step in STEP_CLASSES.items() if step.settings} == set(USES)


def test_a_network_has_no_settings(repository: Path) -> None:
    with pytest.raises(SettingsError, match="feature_head is not a Python step"):
        new_step_version(repository, "feature_head", {"padding": 0.1})


def test_ensembles_that_pin_different_versions_are_named(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = repository / "people_foreground" / "config.pbtxt"
    config.write_text(config.read_text().replace("model_version: 1", "model_version: 2"))
    assert run(repository, "preprocess", "--set", "resize=stretch") == 1
    assert "people_foreground/config.pbtxt pins version 2 of" in capsys.readouterr().err
