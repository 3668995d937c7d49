"""The comparison of trainings: runs that take their time, and a table of what came out."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import training_table
from tests.training.runs import Data

SMALL = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.limit_train_batches=2",
    "--model.roi_size_hw=[16, 12]",
    "--data.roi.mask_size_hw=[32, 24]",
    "--data.loader.batch_size=1",
    "--data.loader.workers=0",
]


@pytest.fixture
def folder(data: Data, tmp_path: Path) -> Path:
    for part in ("train", "val"):
        shutil.copytree(data.images, tmp_path / part)
        shutil.copy(data.annotations, tmp_path / f"person_{part}.json")
    return tmp_path


def arguments(folder: Path, data: Data, *only: str) -> list[str]:
    return [
        f"--data={folder}",
        f"--people-unet={data.people_unet}",
        f"--detector={data.detector}",
        "--minutes=0.02",
        f"--out={folder / 'runs'}",
        f"--json={folder / 'table.json'}",
        "--only",
        *only,
        "--",
        *SMALL,
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
