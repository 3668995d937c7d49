"""Where a training's time goes, measured by its command."""

import json
from pathlib import Path

import pytest

from benchmarks import training_throughput
from tests.training.runs import CONFIGS
from tests.training.test_training_table import folder  # noqa: F401  (a fixture)

SHARES = (
    "waiting_for_images",
    "forward_and_loss",
    "backward",
    "optimiser_and_averaging",
)


def test_the_shares_of_the_time_add_up(folder: Path) -> None:  # noqa: F811
    numbers = folder / "throughput.json"
    arguments = ["--configs", str(CONFIGS / "people_unet_b0.yaml"), f"--data={folder}"]
    arguments += ["--steps=2", "--workers=0", f"--json={numbers}", "--", "--data.size=64"]
    arguments += ["--data.loader.batch_size=2", "--trainer.accelerator=cpu"]
    assert training_throughput.main(arguments) == 0
    row = json.loads(numbers.read_text())["people_unet_b0"]
    assert sum(row[share] for share in SHARES) == pytest.approx(1)
    assert row["loader_alone"] > 0 and row["images_per_second"] > 0
