"""Releases on disk alone: what is planned, written, mended, pruned and shown."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conversion import step_version
from conversion.release import prune_command, release_command, rollback_command, status_command
from conversion.release.examiner import Judgement
from conversion.release.operations import Place, release, rollback
from conversion.release.options import ReleaseOptions, place_of
from conversion.release.variants import config_as, used_by
from peopleseg.cli import check_command
from peopleseg.releases import disk, journal, lock
from peopleseg.releases.errors import Locked, Refused, ReleaseError
from peopleseg.releases.journal import Journal
from peopleseg.releases.plan import (
    changed_versions,
    current_versions,
    ensembles_of,
    loaded_versions,
    with_policy,
)
from peopleseg.releases.prune import Old, prune
from peopleseg.repository.model_folder import config_files, versions_in
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.repository.triton_config import parse_config
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import pinned, served
from tests.commands import run
from tests.data.small_repository import write_small_repository
from tests.killing import Killed, killed_at
from tests.server.telling import IMAGE, TellingExaminer, make_repository, new_version

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    make_repository(folder)
    return folder


@pytest.fixture
def place(repository: Path) -> Place:
    return Place(PEOPLE, repository, None, TellingExaminer())


def pins(repository: Path, ensemble: str) -> dict[str, int]:
    return pinned((repository / ensemble / "config.pbtxt").read_text())


def configs(repository: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in repository.rglob("*.pbtxt")}


CONFIGS = [path for step in STEPS for path in config_files(MODEL_REPOSITORY / step)]


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_a_policy_is_all_that_changes_in_a_config(path: Path) -> None:
    text = path.read_text()
    changed = text_format.Parse(with_policy(text, [9, 3]), model_config_pb2.ModelConfig())
    expected = text_format.Parse(text, model_config_pb2.ModelConfig())
    expected.version_policy.Clear()
    expected.version_policy.specific.versions.extend([3, 9])
    assert changed == expected
    assert with_policy(with_policy(text, [9, 3]), [1]) == with_policy(text, [1])


@pytest.mark.parametrize(
    "policy", ["", "version_policy { all { } }", "version_policy: { latest: { num_versions: 2 } }"]
)
def test_a_policy_takes_the_place_of_any_other(policy: str) -> None:
    changed = with_policy(f'name: "step"\n{policy}\nmax_batch_size: 0\n', [1, 2])
    config = text_format.Parse(changed, model_config_pb2.ModelConfig())
    assert list(config.version_policy.specific.versions) == [1, 2]


def test_a_release_changes_every_ensemble_that_uses_the_step(place: Place) -> None:
    version = new_version(place.repository, "people_unet")
    untouched = pins(place.repository, "person_segmentation")["yolov9"]
    record = release(place, "better-unet", {"people_unet": version}, why="people at night")
    assert record.result == journal.SERVING and record.offline
    for ensemble in ("person_segmentation", "person_segmentation_from_boxes", "people_foreground"):
        assert pins(place.repository, ensemble)["people_unet"] == version
    assert pins(place.repository, "person_segmentation")["yolov9"] == untouched
    assert loaded_versions(place.repository / "people_unet" / "config.pbtxt") == [1, version]
    assert [one.why for one in Journal(place.repository).attempts()] == ["people at night"]


def test_every_config_of_a_step_is_written(place: Place) -> None:
    folder = place.repository / "yolov9"
    (folder / "configs").mkdir()
    shutil.copy(folder / "config.pbtxt", folder / "configs" / "cuda.pbtxt")
    release(place, "new", {"yolov9": new_version(place.repository, "yolov9")})
    assert [loaded_versions(path) for path in config_files(folder)] == [[1, 2], [1, 2]]


def test_a_rollback_brings_back_every_file(place: Place) -> None:
    before = configs(place.repository)
    versions = {"yolov9": 2, "postprocess": 2}
    for step in versions:
        new_version(place.repository, step)
    release(place, "new", versions)
    assert configs(place.repository) != before
    rollback(place)
    pinned_now = {path: text for path, text in configs(place.repository).items()}
    for path, text in before.items():
        assert with_policy(pinned_now[path], [1]) == with_policy(text, [1])
    assert loaded_versions(place.repository / "yolov9" / "config.pbtxt") == [1, 2]


def test_only_the_release_before_stays_loaded(place: Place) -> None:
    for number in (2, 3):
        new_version(place.repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    assert loaded_versions(place.repository / "yolov9" / "config.pbtxt") == [2, 3]


def test_the_feature_ensemble_comes_with_its_head_and_goes_with_it(place: Place) -> None:
    record = release(place, "by-features", {"feature_head": 1})
    folder = place.repository / "person_segmentation_features"
    assert pins(place.repository, folder.name)["roi_align_features"] == 1
    assert (folder / "1" / ".gitkeep").is_file()
    assert record.ensembles == [folder.name]
    rollback(place)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yolov9": 7}, r"no version 7; there are: 1\..*peopleseg export"),
        ({"yolov10": 1}, "people has no step 'yolov10'; its steps are preprocess, yolov9"),
        ({"yolov9": 1}, "would change nothing"),
    ],
)
def test_what_cannot_be_released_is_named_before_anything_begins(
    place: Place, changes: dict[str, int], message: str
) -> None:
    before = configs(place.repository)
    with pytest.raises(ReleaseError, match=message):
        release(place, "wrong", changes)
    assert configs(place.repository) == before
    assert Journal(place.repository).attempts() == []


@pytest.mark.parametrize("name", ["", "initial", "2", "two words", "-x", "a/b"])
def test_a_name_that_could_be_mistaken_is_refused(place: Place, name: str) -> None:
    new_version(place.repository, "yolov9")
    with pytest.raises(ReleaseError, match="is no name for a release"):
        release(place, name, {"yolov9": 2})


def test_a_name_is_used_once(place: Place) -> None:
    for _ in range(2):
        new_version(place.repository, "yolov9")
    release(place, "new", {"yolov9": 2})
    with pytest.raises(ReleaseError, match="release 1 is already called new"):
        release(place, "new", {"yolov9": 3})


def test_faults_are_refused_also_by_force(place: Place) -> None:
    new_version(place.repository, "yolov9")
    before = configs(place.repository)
    faulty = Place(
        PEOPLE, place.repository, None, TellingExaminer(found_faults=["yolov9/2: damaged"])
    )
    with pytest.raises(Refused, match="damaged"):
        release(faulty, "new", {"yolov9": 2}, force=True)
    assert configs(place.repository) == before
    assert Journal(place.repository).attempts()[-1].result == journal.REFUSED


def test_less_accuracy_is_refused_and_can_be_forced_which_the_record_says(place: Place) -> None:
    new_version(place.repository, "yolov9")
    judgement = Judgement({"candidate": {"mask_ap50": 0.1}}, ["mask_ap50 falls"])
    worse = Place(PEOPLE, place.repository, None, TellingExaminer(judgement=judgement))
    with pytest.raises(Refused, match="mask_ap50 falls.*--force"):
        release(worse, "new", {"yolov9": 2})
    assert Journal(place.repository).attempts()[-1].metrics == judgement.metrics
    record = release(worse, "new", {"yolov9": 2}, force=True)
    assert record.forced and "mask_ap50 falls" in record.reason
    assert record.metrics == judgement.metrics


STAGES = [
    "started",
    "checked",
    "measured",
    "decided",
    "policies written",
    "person_segmentation written",
    "people_foreground written",
]


@pytest.mark.parametrize("stage", STAGES)
def test_a_release_that_ends_at_any_stage_is_mended_to_the_old_or_the_new_one(
    repository: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = current_versions(repository, PEOPLE)
    new = old | {step: new_version(repository, step) for step in ("yolov9", "people_unet")}
    kill_at(repository, stage, new, monkeypatch)
    disk.recover(repository)
    is_decided = STAGES.index(stage) >= STAGES.index("decided")
    wanted = new if is_decided else old
    assert current_versions(repository, PEOPLE) == wanted
    for ensemble, text in ensembles_of(repository, PEOPLE, wanted).items():
        assert (repository / ensemble / "config.pbtxt").read_text() == text
    for step, version in wanted.items():
        assert version in loaded_versions(repository / step / "config.pbtxt")
    last = Journal(repository).attempts()[-1]
    assert last.result == (journal.SERVING if is_decided else journal.REFUSED)
    assert list(repository.glob(".*.prepared")) == []
    after = configs(repository)
    assert disk.recover(repository) is None and configs(repository) == after


@pytest.mark.parametrize("finish", [disk.recover, lambda repository: prune(repository, 3)])
def test_a_killed_rollback_that_something_else_finished_is_found_done_once(
    place: Place, finish: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = place.repository
    for number in (2, 3):
        new_version(repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    kill_at(repository, "decided", None, monkeypatch)
    finish(repository)
    assert rollback(place).versions["yolov9"] == 2
    assert current_versions(repository, PEOPLE)["yolov9"] == 2, "not one release further back"
    rollback(place)
    assert current_versions(repository, PEOPLE)["yolov9"] == 1


def kill_at(
    repository: Path, stage: str, versions: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Release or roll back, and be killed at a stage."""
    dying = Place(PEOPLE, repository, None, TellingExaminer(), killed_at(stage, monkeypatch))
    with pytest.raises(Killed):
        release(dying, "new", versions) if versions else rollback(dying)
    monkeypatch.undo()


def test_an_error_in_the_middle_of_the_writing_brings_the_old_files_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_version(place.repository, "people_unet")
    before = configs(place.repository)
    replace: Callable[..., None] = os.replace
    renamed: list[str] = []

    def full_disk(source: object, target: object) -> None:
        if "people_foreground" in str(target) and str(target) not in renamed:
            renamed.append(str(target))
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        release(place, "new", {"people_unet": 2})
    assert renamed and configs(place.repository) == before
    assert Journal(place.repository).attempts()[-1].result == journal.REFUSED


@pytest.mark.parametrize(
    ("fails", "said", "afterwards"),
    [("os.replace", "repeat it", 1), ("os.write", "take it back by `peopleseg rollback`", 2)],
)
def test_a_release_that_cannot_be_taken_back_is_not_called_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: str, said: str, afterwards: int
) -> None:
    """Neither files nor, in the second case, the record can be written any more."""
    version = new_version(place.repository, "people_unet")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def on_stage(stage: str) -> None:
        if stage == "person_segmentation written":
            monkeypatch.setattr(fails, full_disk)
            raise ReleaseError("it answers otherwise")

    failing = Place(PEOPLE, place.repository, None, TellingExaminer(), on_stage)
    with pytest.raises(ReleaseError, match=f"it answers otherwise.*No space left.*{said}"):
        release(failing, "new", {"people_unet": version})
    monkeypatch.undo()
    assert Journal(place.repository).attempts()[-1].result != journal.REFUSED
    disk.recover(place.repository)
    assert current_versions(place.repository, PEOPLE)["people_unet"] == afterwards


def test_two_releases_do_not_meet(place: Place) -> None:
    new_version(place.repository, "yolov9")
    with lock.held(place.repository):
        with pytest.raises(Locked):
            release(place, "new", {"yolov9": 2})
        with pytest.raises(Locked):
            prune(place.repository, 1)
    assert Journal(place.repository).attempts() == []


def test_recovering_a_repository_without_releases_writes_nothing(repository: Path) -> None:
    before = sorted(repository.rglob("*"))
    assert disk.recover(repository) is None
    assert sorted(repository.rglob("*")) == before


@pytest.fixture
def stale(place: Place) -> Path:
    """A config that loads another version than the release, with a name as long as may be."""
    path = place.repository / "yolov9" / "configs" / f"{'n' * 249}.pbtxt"
    path.parent.mkdir()
    path.write_text((place.repository / "yolov9" / "config.pbtxt").read_text())
    new_version(place.repository, "yolov9")
    old = path.read_text()
    release(place, "new", {"yolov9": 2})
    assert loaded_versions(path) == [1, 2]
    path.write_text(old)
    return path


def test_a_stale_config_is_brought_up_to_date_once(place: Place, stale: Path) -> None:
    disk.recover(place.repository)
    assert loaded_versions(stale) == [1, 2] and disk.files_behind(place.repository) == {}
    before = times(place.repository)
    disk.recover(place.repository)
    assert times(place.repository) == before


def test_nothing_is_written_under_a_server_that_runs(place: Place, stale: Path) -> None:
    before = times(place.repository)
    assert disk.recover(place.repository, others=["somebody"]) is None
    assert times(place.repository) == before and list(disk.files_behind(place.repository)) == [
        stale
    ]


@pytest.mark.parametrize("stage", ["started", "decided", "policies written"])
def test_a_half_written_release_is_not_taken_as_it_is(
    place: Place, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"yolov9": new_version(place.repository, "yolov9")}
    kill_at(place.repository, stage, new, monkeypatch)
    before = times(place.repository)
    if stage == "started":  # nothing is written yet
        disk.recover(place.repository, others=["somebody"])
    else:
        with pytest.raises(ReleaseError, match="new of .* was interrupted, and somebody serves it"):
            disk.recover(place.repository, others=["somebody"])
    assert times(place.repository) == before


def times(repository: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in repository.rglob("*")}


def test_pruning_deletes_what_no_kept_release_uses_and_nothing_else(place: Place) -> None:
    repository = place.repository
    for number in range(2, 6):
        new_version(repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    new_version(repository, "yolov9")  # 6, still to be released
    new_version(repository, "people_unet")
    everything = {path for path in repository.rglob("*") if path.is_file()}
    expected = [Old("yolov9", 1), Old("yolov9", 2)]
    assert prune(repository, 3, dry_run=True) == expected
    assert {path for path in repository.rglob("*") if path.is_file()} == everything
    assert prune(repository, 3) == expected
    gone = everything - {path for path in repository.rglob("*") if path.is_file()}
    assert {path.parent for path in gone} == {repository / "yolov9" / number for number in "12"}
    assert prune(repository, 3) == []
    assert prune(repository, 1) == [Old("yolov9", 3)], "the release before the serving one stays"


def test_pruning_leaves_what_is_newer_than_every_release_whatever_was_refused(
    place: Place,
) -> None:
    for _ in range(2):
        new_version(place.repository, "yolov9")
    faulty = Place(PEOPLE, place.repository, None, TellingExaminer(found_faults=["damaged"]))
    with pytest.raises(Refused):
        release(faulty, "third", {"yolov9": 3})
    assert prune(place.repository, 1) == []
    new_version(place.repository, "yolov9")
    release(place, "fourth", {"yolov9": 4})
    assert prune(place.repository, 1) == [Old("yolov9", 2), Old("yolov9", 3)]


def test_pruning_after_a_rollback_keeps_what_came_before_it_and_what_came_after(
    place: Place,
) -> None:
    for number in (2, 3, 4):
        new_version(place.repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    rollback(place)
    assert prune(place.repository, 1) == [Old("yolov9", 1)]
    rollback(place)
    rollback(place, "release-4")


def test_pruning_leaves_what_any_config_loads(place: Place) -> None:
    for number in (2, 3):
        new_version(place.repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    variant = place.repository / "yolov9" / "configs" / "cuda.pbtxt"
    variant.parent.mkdir()
    variant.write_text(with_policy((variant.parents[1] / "config.pbtxt").read_text(), [1, 3]))
    assert prune(place.repository, 1) == []
    variant.unlink()
    assert prune(place.repository, 1) == [Old("yolov9", 1)]


def test_the_prune_command_says_what_it_would_delete(place: Place, capsys: Capture) -> None:
    for number in (2, 3):
        new_version(place.repository, "yolov9")
        release(place, f"release-{number}", {"yolov9": number})
    where = ["--model-repository", str(place.repository)]
    assert run(prune_command, "--keep", "1", "--dry-run", *where) == 0
    assert capsys.readouterr().out == "would delete yolov9/1\n"
    assert run(prune_command, "--keep", "1", *where) == 0
    assert run(prune_command, "--keep", "1", *where) == 0
    assert capsys.readouterr().out == "deleted yolov9/1\nnothing to delete\n"


def test_the_prune_command_waits_for_a_release_to_end(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    where = ["--keep", "1", "--model-repository", str(repository)]
    with lock.held(repository):
        assert run(prune_command, *where) == 1
    assert "--wait 600" in capsys.readouterr().err
    with ExitStack() as release_of_another:
        release_of_another.enter_context(lock.held(repository))
        naps: list[float] = []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                release_of_another.close()

        monkeypatch.setattr("time.sleep", sleep)
        assert run(prune_command, *where, "--wait", "600") == 0


def test_the_rollback_command_says_when_there_was_nothing_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    new_version(place.repository, "yolov9")
    release(place, "new", {"yolov9": 2})
    where = ["--offline", "--model-repository", str(place.repository)]
    assert run(rollback_command, "new", *where) == 0
    assert capsys.readouterr().out.startswith("release 1 new serves already at ")
    kill_at(place.repository, "decided", None, monkeypatch)
    assert run(rollback_command, *where) == 0
    said = capsys.readouterr().out
    assert said.startswith("release 0 initial serves again at ")
    assert "finished after an interruption" in said
    assert run(rollback_command, "initial", *where) == 0
    assert capsys.readouterr().out.startswith("release 0 initial serves already at ")


def test_a_folder_of_images_that_is_not_there_is_wrong_usage(
    repository: Path, tmp_path: Path, capsys: Capture
) -> None:
    where = ["new", "yolov9=1", "--model-repository", str(repository)]
    nowhere, empty = tmp_path / "nowhere", tmp_path / "empty"
    empty.mkdir()
    for path, said in ((nowhere, "there is no such file"), (empty, "has no images")):
        assert run(release_command, *where, "--images", str(path)) == 2
        assert re.match(f"peopleseg: --images {path}: .*{said}", capsys.readouterr().err)
    assert run(release_command, *where, "--annotations", str(nowhere)) == 2
    assert "--annotations needs --images" in capsys.readouterr().err
    images = ["--images", str(empty), "--annotations", str(nowhere)]
    assert run(release_command, *where, *images) == 2
    assert f"--annotations {nowhere}: there is no such file" in capsys.readouterr().err


def test_a_broken_image_is_named(repository: Path, tmp_path: Path, capsys: Capture) -> None:
    image = tmp_path / "photo.jpg"
    image.write_bytes(IMAGE[:20])
    where = ["new", "yolov9=1", "--images", str(image), "--model-repository", str(repository)]
    assert run(release_command, *where) == 1
    assert str(image) in capsys.readouterr().err


def test_without_a_server_no_image_is_read(repository: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(model_repository=repository, images=tmp_path / "nowhere", offline=True)
    with place_of(options, PEOPLE) as place:
        assert place.examiner.images == []


def test_a_pin_that_was_edited_by_hand_is_noticed(tmp_path: Path, capsys: Capture) -> None:
    repository = write_small_repository(tmp_path / "repository")
    here = ["--model-repository", str(repository)]
    assert run(step_version, "select_people", "--set", "max_iou=0.6", *here) == 0
    assert run(release_command, "closer", "select_people=2", "--offline", *here) == 0
    assert run(status_command, "--offline", *here) == run(check_command, *here) == 0
    for ensemble in served(repository, [PEOPLE]):
        config = repository / ensemble / "config.pbtxt"
        edited = re.sub(r'("select_people"\s+model_version: )2', r"\g<1>1", config.read_text())
        config.write_text(edited)
    capsys.readouterr()
    assert run(status_command, "--offline", *here) == run(check_command, *here) == 1
    said = capsys.readouterr()
    assert "select_people/1, which release 1 closer has not; undo the edit" in said.err
    assert "select_people/1" in said.out


def test_a_model_is_named_once(repository: Path, capsys: Capture) -> None:
    where = ["--offline", "--model-repository", str(repository)]
    assert run(release_command, "new", "yolov9=2", "yolov9=3", *where) == 2
    assert "yolov9=2 yolov9=3 names a model twice" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-3", "many"])
def test_a_release_is_measured_on_one_image_at_least(limit: str, capsys: Capture) -> None:
    assert run(release_command, "new", "yolov9=2", f"--limit={limit}") == 2
    assert "--limit" in capsys.readouterr().err


def test_the_status_command_shows_the_release_and_its_history(
    place: Place, capsys: Capture
) -> None:
    new_version(place.repository, "yolov9")
    judgement = Judgement({"candidate": {"mask_ap50": 0.5125}, "measured_on": "val.json"})
    judged = Place(PEOPLE, place.repository, None, TellingExaminer(judgement=judgement))
    release(judged, "better", {"yolov9": 2}, why="more data")
    where = ["--model-repository", str(place.repository)]
    assert run(status_command, "--offline", *where) == 0
    said = capsys.readouterr().out
    assert "release   1 better: more data" in said
    assert "accuracy  mask_ap50 0.5125; on val.json" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["yolov9", "2", "-", "-", "1,", "2"] in rows


def test_an_unfinished_release_is_a_problem_of_the_status(
    repository: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"yolov9": new_version(repository, "yolov9")}
    kill_at(repository, "decided", new, monkeypatch)
    assert run(status_command, "--offline", "--model-repository", str(repository)) == 1
    assert "release 1 new is decided, but not finished" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_a_problem_of_the_status(
    repository: Path, capsys: Capture
) -> None:
    where = ["--model-repository", str(repository), "--url", "localhost:1"]
    assert run(status_command, *where) == 1
    said = capsys.readouterr().err
    assert "localhost:1" in said and "peopleseg serve" in said


def test_an_ambiguous_variant_means_every_config(repository: Path) -> None:
    folder = repository / "yolov9"
    (folder / "configs").mkdir()
    default, same = folder / "config.pbtxt", folder / "configs" / "same.pbtxt"
    shutil.copy(default, same)
    served = text_format.Parse(default.read_text(), model_config_pb2.ModelConfig())
    assert used_by(served, folder) == [default, same]
    assert used_by(None, folder) == [default, same]
    same.write_text(same.read_text().replace("KIND_CPU", "KIND_GPU"))
    assert used_by(served, folder) == [default]


def test_a_step_that_is_not_served_has_the_variant_of_the_others(repository: Path) -> None:
    def add_variant(step: str) -> None:
        text = (repository / step / "config.pbtxt").read_text().replace("KIND_CPU", "KIND_GPU")
        (repository / step / "configs").mkdir()
        (repository / step / "configs" / "cuda.pbtxt").write_text(text)

    def kind(served: str) -> str:
        text = (repository / "yolov9" / served).read_text()
        plain = (repository / "preprocess" / "config.pbtxt").read_text()
        others = {
            repository / "preprocess": parse_config(plain),
            repository / "yolov9": parse_config(text),
        }
        (group,) = config_as(others, repository / "feature_head").instance_group
        return model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind)

    add_variant("yolov9")
    assert kind("configs/cuda.pbtxt") == "KIND_CPU", "which is all that there is"
    add_variant("feature_head")
    assert kind("configs/cuda.pbtxt") == "KIND_GPU"
    assert kind("config.pbtxt") == "KIND_CPU"


def test_an_ensemble_that_begins_needs_all_of_its_steps(repository: Path) -> None:
    shutil.rmtree(repository / "roi_align_features" / "1")
    lacks = r"feature_head would serve nothing: .*_features needs a version of roi_align_features"
    with pytest.raises(ReleaseError, match=lacks):
        changed_versions(
            repository, PEOPLE, current_versions(repository, PEOPLE), {"feature_head": 1}
        )


def test_an_ensemble_that_cannot_begin_keeps_no_other_from_it(repository: Path) -> None:
    one, other = (next(e for e in PEOPLE.ensembles if e.name == name) for name in (
        "people_foreground", "person_segmentation"
    ))  # fmt: skip
    shared = set(one.steps) & set(other.steps)
    for step in set(other.steps) - shared:
        shutil.rmtree(repository / step / "1")
    begun = changed_versions(repository, PEOPLE, {}, {"people_unet": 1})
    assert begun == {step: max(versions_in(repository / step)) for step in one.steps}
