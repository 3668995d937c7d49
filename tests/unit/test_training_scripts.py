"""The three scripts run one after the other, as the README has them."""

from pathlib import Path

import pytest
import torch

from tests.data.people_pictures import write_data_set
from training import train_detector, train_head, train_people_unet


def test_each_script_trains_validates_and_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = write_data_set(tmp_path, count=6)
    data = [f"--images={images}", f"--annotations={annotations}"]
    data += [f"--validation-images={images}", f"--validation-annotations={annotations}"]
    data += ["--epochs=1", "--batch-size=2"]
    detector, unet, head = (tmp_path / f"{name}.pt" for name in ("detector", "unet", "head"))

    train_detector.main([*data, f"--checkpoint={detector}", "--size=96"])
    train_people_unet.main([*data, f"--checkpoint={unet}", "--size=64"])
    frozen = [f"--detector={detector}", f"--people-unet={unet}"]
    train_head.main([*data, *frozen, f"--checkpoint={head}", "--coarse", "--most-people=1"])

    for checkpoint, figure in (
        (detector, "box_ap50"),
        (unet, "foreground_miou"),
        (head, "roi_miou"),
    ):
        state = torch.load(checkpoint, weights_only=True)
        assert state["epoch"] == 1
        assert 0 <= state["report"][figure] <= 1
    assert capsys.readouterr().out.count("epoch 1: loss ") == 3
