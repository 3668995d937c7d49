"""`peopleseg validate`: a table over checkpoints, its JSON and images, and what goes wrong."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.feature_head import RoiFeatureHead
from peopleseg.networks.people.hierarchical import PersonMaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.yolov9 import YOLOv9
from tests.data.people_images import write_data_set
from training.validation.part import Row
from training.validation.people.metrics import mask_metrics
from training.validation.table import WIDTH, table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data_set(tmp_path_factory.mktemp("people"), count=4)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Freshly initialised networks: two UNets, a detector, and a mask head of each family."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        unet, dims = PeopleUNet("b0", shrink=4), {"variant": "b0", "shrink": 4}
        save_network(folder / name / "best.ckpt", "people_unet", unet, dims=dims)
    detector, detector_dims = YOLOv9("t"), {"variant": "t", "classes": 1}
    save_network(folder / "detector.ckpt", "yolov9", detector, dims=detector_dims)
    head = PersonMaskHead(reads_person_logit=False, roi_size_hw=(16, 12))
    save_network(folder / "head.ckpt", "hierarchical_head", head, dims=head.dims)
    save_network(
        folder / "features.ckpt",
        "feature_head",
        RoiFeatureHead(detector.feature_channels),
        dims={"in_channels": detector.feature_channels},
        companions={"detector": (detector, detector_dims)},
    )
    return folder


def run(
    data: tuple[Path, Path], *arguments: Any, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    options = [f"--images={data[0]}", f"--annotations={data[1]}", "--device=cpu"]
    code = main(["validate", *(str(argument) for argument in arguments), *options])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_every_family_is_measured_and_the_best_marked(
    data: tuple[Path, Path],
    checkpoints: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, sheets = tmp_path / "new" / "metrics.json", tmp_path / "sheets"
    code, out, _ = run(
        data,
        *(checkpoints / "*" / "best.ckpt", checkpoints / "*.ckpt"),
        *("--limit=2", "--json", file, "--sheets", sheets),
        capsys=capsys,
    )
    assert code == 0
    report = json.loads(file.read_text())
    assert report["images"] == 2 and report["failed"] == report["skipped"] == []
    metrics = {Path(one["checkpoint"]).name: one["metrics"] for one in report["checkpoints"]}
    assert metrics["best.ckpt"].keys() == {"people_seg_miou"}
    assert metrics["detector.ckpt"].keys() == {"box_ap", "box_ap50", "box_recall"}
    assert metrics["head.ckpt"].keys() == mask_metrics().keys()
    assert metrics["features.ckpt"].keys() == {*mask_metrics(), "mask_ap", "mask_ap50"}
    unets = [one for one in report["checkpoints"] if one["family"] == "people_unet"]
    best = max(unets, key=lambda one: one["metrics"]["people_seg_miou"])
    marked = [line for line in out.splitlines() if "*" in line]
    assert len(unets) == 2 and len(marked) == 1
    assert f"{best['metrics']['people_seg_miou']:.4f}*" in marked[0]
    written = sorted(path.name for path in sheets.iterdir())
    assert written == ["best.png", "best_2.png", "detector.png", "features.png", "head.png"]
    assert cv2.imread(str(sheets / "head.png")).shape[0] > 400


def test_a_detector_given_finds_the_boxes_of_a_head_without_one(
    data: tuple[Path, Path],
    checkpoints: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head, file = checkpoints / "head.ckpt", tmp_path / "metrics.json"
    options = ("--limit=2", "--json", file)
    code, out, _ = run(
        data, head, "--detector", checkpoints / "detector.ckpt", *options, capsys=capsys
    )
    assert code == 0 and "mask_ap50" in out
    assert json.loads(file.read_text())["checkpoints"][0]["metrics"]["mask_ap"] == 0
    unet = checkpoints / "one" / "best.ckpt"
    code, _, err = run(data, head, "--detector", unet, *options, capsys=capsys)
    assert code == 1 and str(unet) in err and "yolov9" in err


def test_a_checkpoint_that_cannot_be_read_is_named_and_the_others_go_on(
    data: tuple[Path, Path],
    checkpoints: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, file = tmp_path / "broken.ckpt", tmp_path / "metrics.json"
    broken.write_bytes(b"no checkpoint")
    unet = checkpoints / "one" / "best.ckpt"
    code, out, err = run(
        data, broken, tmp_path / "gone.ckpt", unet, "--limit=2", "--json", file, capsys=capsys
    )
    assert code == 1
    assert str(broken) in err and "gone.ckpt" in err and str(unet) in out
    report = json.loads(file.read_text())
    assert [Path(one["checkpoint"]).name for one in report["failed"]] == [
        "broken.ckpt",
        "gone.ckpt",
    ]
    assert [one["checkpoint"] for one in report["checkpoints"]] == [str(unet)]


def test_no_checkpoint_is_written_over_by_the_metrics(
    data: tuple[Path, Path], checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = checkpoints / "detector.ckpt"
    before = detector.read_bytes()
    code, _, err = run(data, checkpoints / "*.ckpt", "--json", detector, capsys=capsys)
    assert code == 2 and f"--json {detector} is the file of CHECKPOINTS" in err
    assert detector.read_bytes() == before


def test_a_pattern_that_nothing_matches_is_wrong_usage(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(data, tmp_path / "*.ckpt", capsys=capsys)
    assert code == 2 and out == "" and "*.ckpt" in err


def test_missing_images_are_named_and_left_out(
    data: tuple[Path, Path],
    checkpoints: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for image in ("001.png", "002.png"):
        (tmp_path / image).write_bytes((data[0] / image).read_bytes())
    file = tmp_path / "metrics.json"
    unet = checkpoints / "one" / "best.ckpt"
    code, _, err = run((tmp_path, data[1]), unet, "--json", file, capsys=capsys)
    assert code == 0 and "000.png" in err
    report = json.loads(file.read_text())
    assert report["images"] == 2
    assert [Path(one["file"]).name for one in report["skipped"]] == ["000.png", "003.png"]
    code, _, err = run((tmp_path / "none", data[1]), unet, capsys=capsys)
    assert code == 1 and "has nobody in its 0 images" in err


@pytest.mark.parametrize("content", ["no json", "{}"])
def test_annotations_that_are_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "people.json"
    file.write_text(content)
    code, _, err = run((tmp_path, file), "x.ckpt", capsys=capsys)
    assert code == 1 and str(file) in err


def test_a_table_of_one_checkpoint_marks_nothing_and_shows_what_is_missing() -> None:
    shown = table([Row("a.ckpt", "people_unet", None, {"people_seg_miou": float("nan")})])
    assert shown.splitlines()[1].split() == ["a.ckpt", "-", "-"]
    assert "*" not in table([Row("a.ckpt", "people_unet", 7, {"people_seg_miou": 0.5})])


def test_a_table_marks_the_best_of_each_metric_within_its_family() -> None:
    rows = [
        Row("a", "yolov9", 3, {"box_ap": 0.2, "box_ap50": 0.5}),
        Row("b", "yolov9", 4, {"box_ap": 0.3, "box_ap50": 0.4}),
        Row("c", "people_unet", 4, {"people_seg_miou": 0.9}),
        Row("d", "people_unet", 5, {"people_seg_miou": 0.9}),
    ]
    found = {line.split()[0]: line.split()[2:] for line in table(rows).splitlines() if line}
    assert found["a"] == ["0.2000", "0.5000*"] and found["b"] == ["0.3000*", "0.4000"]
    assert found["c"] == found["d"] == ["0.9000*"]


@pytest.mark.parametrize("length", [5, 60, 200])
def test_metrics_stand_under_their_names_however_long_a_checkpoint_is(length: int) -> None:
    names = [*mask_metrics(), "mask_ap", "mask_ap50"]
    metrics = {name: 0.1 + number / 100 for number, name in enumerate(names)}
    row = Row("x" * length, "hierarchical_head", 100, metrics)
    lines = table([row, Row("y", "hierarchical_head", None, {})]).splitlines()
    header, numbers = (next(line for line in lines if part in line) for part in ("roi", "0.1000"))
    assert max(len(header), len(numbers)) <= WIDTH
    for name, value in metrics.items():
        end_of_name = re.search(rf"\b{name}\b", header).end()  # type: ignore[union-attr]
        assert numbers[:end_of_name].endswith(f"{value:.4f}")
