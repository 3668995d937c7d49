"""`peopleseg retrain`: the whole way in one command, and on from wherever it was stopped."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conversion import retrain
from conversion.release import rollback_command
from conversion.step_version import new_step_version
from peopleseg.checks.check import faults
from peopleseg.cli.application import parse
from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import read_checkpoint, save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.releases import journal
from peopleseg.releases.journal import Journal
from peopleseg.repository.manifest import Manifest, sha256
from peopleseg.systems.known import system_named
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions
from tests.data.small_deeplab import FIRST, write_deeplab, write_semantic_repository
from tests.data.small_repository import write_images, write_small_repository
from tests.data.voc_images import write_voc
from tests.killing import Killed, killed_at
from training.data.generated import write_training_data

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "training" / "configs" / "people_unet_b0.yaml"
SMALL_TRAINING = (
    "--model.shrink=4",
    "--data.size=64",
    "--data.loader.batch_size=2",
    "--data.loader.workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.log_every_n_steps=1",
)
RETRAIN = """
import sys
from peopleseg.cli.main import main
sys.exit(main(["retrain", *sys.argv[1:]]))
"""
ANY_ACCURACY = ("--margin", "1")


class Place:
    """Data, a run's folder and a repository below one folder."""

    def __init__(self, folder: Path) -> None:
        self.data, self.out = folder / "data", folder / "run"
        self.repository = folder / "repository"
        self.state = self.out / retrain.STATE

    def arguments(self, *further: str, epochs: int = 2) -> list[str]:
        return [
            str(CONFIG),
            *("--data", str(self.data)),
            *("--out", str(self.out)),
            *("--model-repository", str(self.repository)),
            "--offline",
            "--skip-pinned-runtime",
            *further,
            "--",
            *SMALL_TRAINING,
            f"--trainer.max_epochs={epochs}",
        ]

    def parsed(self, *further: str, epochs: int = 2) -> retrain.Options:
        return parse(retrain, self.arguments(*further, epochs=epochs))

    def retrain(self, *further: str, epochs: int = 2) -> int:
        return main(["retrain", *self.arguments(*further, epochs=epochs)])

    def version(self) -> int:
        """Of the people UNet that serves."""
        return serving_versions(self.repository, PEOPLE)["people_unet"]

    def files(self) -> dict[Path, int]:
        """When each file of the run and of the repository was written."""
        folders = (self.out, self.repository)
        return {path: path.stat().st_mtime_ns for f in folders for path in f.rglob("*")}


def write_place(folder: Path) -> Place:
    """Made-up people, and networks that serve but know nothing of them."""
    place = Place(folder)
    write_training_data(place.data, count=6)
    write_small_repository(place.repository)
    return place


def pretend_trained(place: Place) -> None:
    """Leave what a training leaves, with an untrained network."""
    network = PeopleUNet("b0", shrink=4)
    best = place.out / "best.ckpt"
    save_network(best, "people_unet", network, dims=network.dims)
    state = {"asked": retrain.asked_for(place.parsed()), "trained": sha256(best)}
    place.state.write_text(json.dumps(state))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A retraining that came to its end, but for the training itself."""
    place = write_place(tmp_path_factory.mktemp("done"))
    pretend_trained(place)
    assert place.retrain(*ANY_ACCURACY) == 0
    return place


def stages(out: str) -> dict[str, str]:
    """What the command printed of each stage at last."""
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    names = ("train", "validate", "export", "release")
    return {line[0]: line[1] for line in lines if len(line) == 2 and line[0] in names}


def worked_on(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The stages that were not done before."""
    said = stages(capsys.readouterr().out)
    return [name for name, text in said.items() if not text.startswith("done before: ")]


def test_a_new_network_serves_at_the_end(done: Place) -> None:
    assert done.version() == 2
    manifest = Manifest.read(done.repository / "people_unet" / "2")
    assert manifest.checkpoint_sha256 == sha256(done.out / "best.ckpt")
    digest = sha256(done.data / "person_val.json")
    assert manifest.accuracy_data == f"person_val.json {digest[:12]}"
    assert faults(done.repository) == []


def test_the_record_names_the_retraining_and_its_metrics(done: Place) -> None:
    (record,) = Journal(done.repository).attempts()
    assert (record.name, record.result) == ("people_unet-2", journal.SERVING)
    assert record.why == "retrained by people_unet_b0.yaml"
    assert record.metrics["measured_on"].startswith("person_val.json")


def test_the_metrics_of_the_validation_are_kept(done: Place) -> None:
    (report,) = done.out.glob("metrics-*.json")
    metrics = json.loads(report.read_text())["checkpoints"][0]["metrics"]
    assert 0 <= metrics["people_seg_miou"] <= 1


def test_repeated_it_does_nothing_and_says_so(
    done: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = done.files()
    assert done.retrain() == 0
    assert done.files() == before
    said = stages(capsys.readouterr().out)
    assert all(text.startswith("done before: ") for text in said.values())
    assert said["release"].startswith("done before: release 1 people_unet-2")


def test_a_version_that_was_rolled_back_is_not_released_again(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = shutil.copytree(done.repository, tmp_path / "repository")
    try:
        where = rollback_command.Options(model_repository=done.repository, offline=True)
        assert rollback_command.run(where) == 0
        assert done.version() == 1
        assert done.retrain() == 0
        assert done.version() == 1
        assert stages(capsys.readouterr().out)["release"].startswith("done before")
    finally:
        shutil.rmtree(done.repository)
        shutil.move(kept, done.repository)


def copied(done: Place, folder: Path) -> Place:
    """Large files are the same ones, so nobody may write into one."""
    place = Place(shutil.copytree(done.out.parent, folder, copy_function=os.link))
    asked = retrain.asked_for(place.parsed())  # the data's folder is another one
    place.state.unlink()
    place.state.write_text(json.dumps({"asked": asked, "trained": sha256(place.out / "best.ckpt")}))
    return place


def test_lost_metrics_alone_are_measured_again(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(done, tmp_path / "place")
    for report in place.out.glob("metrics-*.json"):
        report.unlink()
    assert place.retrain() == 0
    assert worked_on(capsys) == ["validate"]


def test_metrics_of_some_images_are_not_those_of_all(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(done, tmp_path / "place")
    assert place.retrain("--limit", "2") == 0
    assert worked_on(capsys) == ["validate"]
    assert place.retrain() == 0
    assert worked_on(capsys) == []


def test_in_another_repository_it_is_exported_and_released_again(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(done, tmp_path / "place")
    shutil.rmtree(place.repository)
    write_small_repository(place.repository)
    assert place.retrain(*ANY_ACCURACY) == 0
    assert worked_on(capsys) == ["export", "release"]


def test_a_lost_record_of_a_release_that_serves_releases_nothing(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(done, tmp_path / "place")
    (place.repository / journal.FILE_NAME).unlink()
    assert place.retrain() == 0
    assert worked_on(capsys) == []


@pytest.mark.parametrize(
    "stage", ["started", "decided", "person_segmentation written", "people_foreground written"]
)
def test_killed_in_the_release_the_same_command_finishes_it(
    stage: str,
    done: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = copied(done, tmp_path / "place")
    exported = place.repository / "people_unet" / "2"
    shutil.move(exported, tmp_path / "2")
    shutil.rmtree(place.repository)
    write_small_repository(place.repository)
    shutil.move(tmp_path / "2", exported)

    monkeypatch.setattr("conversion.release.options._LOG.info", killed_at(stage, monkeypatch))
    with pytest.raises(Killed):
        place.retrain(*ANY_ACCURACY)
    monkeypatch.undo()
    (record,) = Journal(place.repository).attempts()
    assert record.result == (journal.STARTED if stage == "started" else journal.DECIDED)
    capsys.readouterr()
    assert place.retrain(*ANY_ACCURACY) == 0
    assert worked_on(capsys) == ["release"]
    assert Journal(place.repository).attempts()[-1].result == journal.SERVING
    assert place.version() == 2
    assert faults(place.repository) == []


def test_a_record_or_configs_that_cannot_be_read_are_told(
    done: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(done, tmp_path / "place")
    record = place.repository / journal.FILE_NAME
    record.unlink()  # not the one that it was copied from
    record.write_text('{"number": 1}\n')
    assert place.retrain() == 1
    assert f"peopleseg: {record}, line 1 is not" in capsys.readouterr().err
    record.unlink()
    config = place.repository / "people_foreground" / "config.pbtxt"
    text = config.read_text()
    config.unlink()
    config.write_text(text.replace("model_version: 2", "model_version: 1"))
    assert place.retrain() == 1
    assert "peopleseg: " in (err := capsys.readouterr().err) and " of people_unet" in err


def test_a_worse_network_is_exported_but_not_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    write_small_repository(place.repository)
    images, annotations = write_images(place.data / "val")
    annotations.rename(place.data / "person_val.json")
    pretend_trained(place)
    assert place.retrain() == 1
    assert re.search("foreground_miou falls from .*--force", capsys.readouterr().err)
    assert place.version() == 1
    assert (place.repository / "people_unet" / "2").is_dir()
    assert place.retrain() == 1
    assert not (place.repository / "people_unet" / "3").exists()
    said = stages(capsys.readouterr().out)
    assert said["export"].startswith("done before")
    assert said["release"].startswith("not done")
    assert place.retrain("--force") == 0
    assert place.version() == 2
    assert Journal(place.repository).attempts()[-1].forced


def test_a_folder_of_another_retraining_is_left_alone(
    done: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = done.files()
    assert done.retrain(epochs=3) == 1
    assert "holds a retraining with another train_arguments" in capsys.readouterr().err
    assert done.files() == before


def test_a_config_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, *others = Place(tmp_path).arguments()
    assert main(["retrain", str(tmp_path / "no.yaml"), *others]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # trains
def test_killed_in_the_training_it_goes_on_and_ends_with_a_served_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_place(tmp_path)
    arguments = place.arguments(*ANY_ACCURACY, epochs=8)
    process = subprocess.Popen([sys.executable, "-c", RETRAIN, *arguments], cwd=ROOT)
    try:
        while not (place.out / "last.ckpt").is_file():
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert "trained" not in json.loads(place.state.read_text())
    assert place.retrain(*ANY_ACCURACY, epochs=8) == 0
    assert worked_on(capsys) == ["train", "validate", "export", "release"]
    assert place.version() == 2
    assert read_checkpoint(place.out / "last.ckpt")["epoch"] == 7


def test_classes_are_retrained_on_pascal_voc_s_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voc, repository = write_voc(tmp_path / "VOC2012"), tmp_path / "repository"
    write_semantic_repository(repository)
    write_deeplab(repository, 1, size=256)
    new_step_version(repository, "preprocess", {"size": 256})
    here = ["--offline", "--model-repository", str(repository)]
    first = ("preprocess=3", *(change for change in FIRST if "preprocess" not in change))
    assert main(["release", "first", *first, "--system", "semantic", *here]) == 0
    config = str(ROOT / "training" / "configs" / "deeplab_optimised.yaml")
    others = [argument for argument in SMALL_TRAINING if "shrink" not in argument]
    small = [argument.replace("size=64", "size=256") for argument in others]
    command = [
        *("retrain", config, "--data", str(voc), "--out", str(tmp_path / "run"), *here),
        *("--skip-pinned-runtime", *ANY_ACCURACY, "--", *small, "--trainer.max_epochs=1"),
    ]
    assert main(command) == 0, capsys.readouterr().err
    assert serving_versions(repository, system_named("semantic"))["deeplab"] == 2
    capsys.readouterr()
    assert main(command) == 0
    assert worked_on(capsys) == []


def test_a_folder_without_anything_to_validate_on_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Place(tmp_path).retrain() == 2
    said = capsys.readouterr().err
    assert "has no person_val.json or ImageSets/Segmentation/val.txt to validate on" in said
