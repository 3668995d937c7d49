"""docs/accuracy.md and docs/models say what the committed results and manifests say."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import accuracy_page, model_card
from benchmarks.accuracy_page import PAGE, RESULTS, SCRIPT, page, take
from benchmarks.model_card import FOLDER, cards
from peopleseg.repository.manifest import Manifest, StepManifest, read_manifest
from peopleseg.systems.people.evaluation.average_precision import SIZES
from peopleseg.systems.people.evaluation.numbers import GROUPS
from peopleseg.systems.people.evaluation.plots import PLOTS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions
from tests.unit.links import broken_links


def result(root: Path, name: str) -> Any:
    return json.loads((root / RESULTS / name).read_text())


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """The results, the page's place, and the model repository without its networks."""
    shutil.copytree(root / RESULTS, tmp_path / RESULTS)
    repository, networks = "model_repository", shutil.ignore_patterns("*.onnx")
    shutil.copytree(root / repository, tmp_path / repository, ignore=networks)
    return tmp_path


def test_the_committed_page_is_what_the_command_writes(root: Path) -> None:
    assert (root / PAGE).read_text() == page(root)


def test_the_committed_cards_are_what_the_command_writes(root: Path) -> None:
    committed = {file.stem: file.read_text() for file in (root / FOLDER).iterdir()}
    assert committed == cards(root)


def test_the_page_says_which_settings_the_images_have_chosen(copied: Path) -> None:
    repository = copied / "model_repository"
    folder = repository / "postprocess" / str(serving_versions(repository, PEOPLE)["postprocess"])
    manifest = read_manifest(folder)
    assert isinstance(manifest, StepManifest)
    replace(manifest, settings={**manifest.settings, "mask_shift": -0.75}).write(folder)
    score = manifest.settings["min_score"]
    assert f"`min_score` ({score}), `mask_shift` (-0.75) and `score_fit`" in page(copied)


def test_the_unet_s_curve_ends_with_the_weights_that_serve(root: Path) -> None:
    """Two epochs before the script's end, as the page says."""
    curve = result(root, "learning_curve_people_seg_miou.json")["runs"]["people_unet"]
    repository = root / "model_repository"
    folder = repository / "people_unet" / str(serving_versions(repository, PEOPLE)["people_unet"])
    assert curve["values"][-1] == round(Manifest.read(folder).accuracy["people_seg_miou"], 4)
    assert f"people_unet_lite0 --trainer.max_epochs {curve['epochs'] + 2} " in (
        (root / SCRIPT).read_text()
    )


def test_every_network_that_serves_has_a_card(root: Path) -> None:
    repository = root / "model_repository"
    served = serving_versions(repository, PEOPLE).items()
    networks = {name for name, v in served if (repository / name / str(v) / "model.onnx").is_file()}
    assert networks and cards(root).keys() == networks


def test_every_card_links_somewhere(root: Path) -> None:
    assert [card for card in (root / FOLDER).iterdir() if broken_links(card)] == []


def test_metrics_report_and_peers_are_of_the_same_images(root: Path) -> None:
    accuracy = result(root, "accuracy.json")
    assert accuracy.pop("failed") == []
    numbers = result(root, "accuracy/report.json")
    assert numbers["accuracy"] == accuracy
    assert sum(row["people"] for row in numbers["missed"].values()) == accuracy["people"]
    with_people = sum(numbers["images_by_people"].values())
    assert with_people <= accuracy["images"] - numbers["nobody"]["images"]
    for peer in result(root, "peers_accuracy.json").values():
        for name in ("annotations", "images", "people"):
            assert peer[name] == accuracy[name]


def test_the_committed_report_names_no_image(root: Path) -> None:
    text = (root / RESULTS / "accuracy" / "report.json").read_text()
    assert re.search(r"\.(jpe?g|png|webp|bmp)|/", text, re.IGNORECASE) is None


def test_a_measurement_is_taken_over_whole(copied: Path, root: Path) -> None:
    measured = copied / "out"
    (measured / "report").mkdir(parents=True)
    accuracy, numbers = (result(root, name) for name in ("accuracy.json", "accuracy/report.json"))
    accuracy["box_ap50"] = numbers["accuracy"]["box_ap50"] = 0.8765
    (measured / "accuracy.json").write_text(json.dumps(accuracy))
    (measured / "report" / "report.json").write_text(json.dumps(numbers))
    (measured / "report" / "worst.png").write_bytes(b"somebody's photos")
    assert page(copied) == page(root)
    take(measured, copied)
    accuracy_page.write(copied)
    assert result(copied, "accuracy.json")["box_ap50"] == 0.8765
    assert "| `box_ap50` | 0.876 |" in (copied / PAGE).read_text()
    files = {path.name for path in (copied / RESULTS / "accuracy").iterdir()}
    assert files == {"report.json", *(f"{name}.png" for name in PLOTS)}


def test_a_measurement_with_failed_images_is_not_taken(copied: Path) -> None:
    measured = copied / "out"
    measured.mkdir()
    before = result(copied, "accuracy.json")
    failed = {**before, "failed": [{"file": "a.jpg", "reason": "gone"}]}
    (measured / "accuracy.json").write_text(json.dumps(failed))
    with pytest.raises(ValueError, match="1 images that failed"):
        take(measured, copied)
    assert result(copied, "accuracy.json") == before


@pytest.mark.parametrize("main", [accuracy_page.main, model_card.main])
def test_what_is_missing_is_told_in_a_sentence(
    main: Callable[[list[str]], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (accuracy_page, model_card):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    assert main([]) == 1
    err = capsys.readouterr().err
    assert str(tmp_path / RESULTS) in err and err.count("\n") == 1


def test_the_page_shows_groups_of_nobody(copied: Path) -> None:
    """As of a file with large people alone."""
    path = copied / RESULTS / "accuracy" / "report.json"
    numbers = json.loads(path.read_text())
    for kinds, groups in (("by_size", SIZES), ("by_people", tuple(GROUPS))):
        for kind in numbers[kinds].values():
            kind[groups[0]] = {"ap": None, "ap50": None}
    path.write_text(json.dumps(numbers))
    accuracy_page.write(copied)
    assert re.search(r"^\| masks, AP \| - \| 0\.\d+ \| 0\.\d+ \| - \|", page(copied), re.MULTILINE)


def test_the_card_of_an_imported_detector_tells_how_to_import_it(copied: Path) -> None:
    version = serving_versions(copied / "model_repository", PEOPLE)["yolov9"]
    folder = copied / "model_repository" / "yolov9" / str(version)
    variant = {"decoder": "nanodet", "input_size": 416, "classes": 80}
    replace(Manifest.read(folder), variant=variant, precision="fp32").write(folder)
    written = cards(copied)
    assert "\npeopleseg import-detector FILE.onnx --decoder nanodet --licence " in written["yolov9"]
    assert "decoder nanodet, input_size 416" in written["yolov9"]
    assert "sees the image at 416 pixels a side" in written["yolov9"]
    assert "sha256 of the imported file" in written["yolov9"]
    assert f"--model.detector model_repository/yolov9/{version}" in written["hierarchical_head"]


def test_a_variant_that_no_yaml_trains_is_an_error(copied: Path) -> None:
    version = serving_versions(copied / "model_repository", PEOPLE)["people_unet"]
    folder = copied / "model_repository" / "people_unet" / str(version)
    replace(Manifest.read(folder), variant={"variant": "b99"}).write(folder)
    with pytest.raises(ValueError, match="people_unet_b99.yaml"):
        cards(copied)
