"""The comparison of trainings: runs that take their time, and a table of what came out."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import training_table
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
    assert row["pictures"] == 6 and row["minutes"] == 0.02
    assert 0 <= row["roi_miou"] <= 1
    assert f"| {row['roi_miou']:.3f} |" in capsys.readouterr().out

    shutil.rmtree(folder / "runs")
    assert training_table.main(arguments(folder, data, "rgb_and_unet")) == 0
    assert not (folder / "runs").exists()


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
