"""The comparison of trainings: runs that take their time, and a table of what came out."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import training_table
from peopleseg.networks.checkpoint import load_network
from tests.data.detectors import write_nanodet
from tests.training.runs import Data

QUICK = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.limit_train_batches=2",
    "--data.loader.batch_size=1",
    "--data.loader.workers=0",
]
SMALL_HEAD = ["--model.roi_size_hw=[16, 12]", "--data.roi.mask_size_hw=[32, 24]"]
SMALL_MASK_RCNN = ["--model.image_size=64", "--data.size=64"]


@pytest.fixture
def folder(data: Data, tmp_path: Path) -> Path:
    for part in ("train", "val"):
        shutil.copytree(data.images, tmp_path / part)
        shutil.copy(data.annotations, tmp_path / f"person_{part}.json")
    return tmp_path


def arguments(folder: Path, data: Data, run: str, small: list[str] = SMALL_HEAD) -> list[str]:
    return [
        f"--data={folder}",
        f"--people-unet={data.people_unet}",
        f"--detector={data.detector}",
        "--minutes=0.02",
        f"--out={folder / 'runs'}",
        f"--json={folder / 'table.json'}",
        "--only",
        run,
        "--",
        *QUICK,
        *small,
    ]


def test_a_run_is_measured_once(
    folder: Path, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_table.main(arguments(folder, data, "rgb_and_unet")) == 0
    results = json.loads((folder / "table.json").read_text())
    row = results["runs"]["rgb_and_unet"]
    assert row["images"] == 6 and row["minutes"] == 0.02
    assert 0 <= row["roi_miou"] <= 1
    assert f"| {row['roi_miou']:.3f} |" in capsys.readouterr().out

    shutil.rmtree(folder / "runs")
    assert training_table.main(arguments(folder, data, "rgb_and_unet")) == 0
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_mask_rcnn_is_measured_beside_the_heads(
    folder: Path, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_table.main(arguments(folder, data, "rgb")) == 0
    assert training_table.main(arguments(folder, data, "mask_rcnn", SMALL_MASK_RCNN)) == 0
    runs = json.loads((folder / "table.json").read_text())["runs"]
    for row in runs.values():
        assert {"roi_miou", "mask_ap50"} <= row.keys() and row["steps"] >= 1
    *_, rgb, mask_rcnn = capsys.readouterr().out.strip().splitlines()
    assert rgb.startswith("| `rgb` | RGB alone |")
    assert mask_rcnn.startswith("| `mask_rcnn` | torchvision's")


def test_all_three_networks_train_in_one_runs_time(
    folder: Path, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_table.main(arguments(folder, data, "from_nothing", [])) == 0
    row = json.loads((folder / "table.json").read_text())["runs"]["from_nothing"]
    for metric in ("roi_miou", "mask_ap50", "box_ap50", "foreground_miou"):
        assert 0 <= row[metric] <= 1
    run = folder / "runs" / "from_nothing"
    head = load_network(run / "end.ckpt")
    for name, path in (("detector", run / "detector"), ("people_unet", run / "people_unet")):
        own = load_network(path / "end.ckpt").network.state_dict()
        held = head.companions[name].state_dict()
        assert all(torch.equal(held[key], own[key]) for key in own)
    minutes = [
        yaml.safe_load((path / "config.yaml").read_text())["trainer"]["callbacks"][-1]["init_args"]
        for path in (run / "detector", run / "people_unet", run)
    ]
    assert sum(one["minutes"] for one in minutes) == pytest.approx(0.02)
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("| `from_nothing` |")


def test_detectors_are_trained_in_ways_of_their_own_and_measured_on_smaller_canvases(
    folder: Path, data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = write_nanodet(tmp_path / "nanodet.onnx", 64)
    sets = tmp_path / "sets.yaml"
    more = {"images": str(data.images), "annotations": str(data.annotations)}
    sets.write_text(yaml.safe_dump({"data": {"init_args": {"extra": [more]}}}))
    options = [f"--data={folder}", "--minutes=0.02", f"--json={folder / 'table.json'}"]
    options += [f"--out={folder / 'runs'}", "--only", "detector_labels", "detector_longer"]
    assert training_table.main(options) == 2
    assert "detector_labels needs --start" in capsys.readouterr().err
    given = [f"--start={data.detector}", f"--teacher={teacher}", f"--sets={sets}"]
    assert training_table.main([*given, *options, "--", *QUICK, "--data.size=64"]) == 0
    runs = json.loads((folder / "table.json").read_text())["runs"]
    assert runs["detector_longer"]["minutes"] == pytest.approx(
        3 * runs["detector_labels"]["minutes"]
    )
    for name, row in runs.items():
        assert all(0 <= row[metric] <= 1 for metric in ("box_ap50", "box_ap50_416", "box_ap50_512"))
        config = yaml.safe_load((folder / "runs" / name / "config.yaml").read_text())
        assert len(config["data"]["init_args"]["extra"]) == (name == "detector_longer")
        assert bool(config["model"]["init_args"]["teacher"]) == (name == "detector_longer")
