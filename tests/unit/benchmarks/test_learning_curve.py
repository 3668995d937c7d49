"""The learning curve: read from TensorBoard's files, fitted, drawn."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from benchmarks.learning_curve import Curve, PowerLaw, fit, main, read_curve

LAW = PowerLaw(limit=0.6, scale=0.5, power=0.8)
STEPS = 7  # of an epoch


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A training whose metric follows LAW for six epochs."""
    folder = tmp_path / "run"
    with SummaryWriter(str(folder)) as writer:
        for epoch in range(6):
            writer.add_scalar("epoch", epoch, STEPS * (epoch + 1))
            writer.add_scalar("box_ap50", LAW.at(epoch + 1), STEPS * (epoch + 1))
    return folder


def test_a_run_is_read_epoch_by_epoch(run: Path) -> None:
    curve = read_curve(run, "box_ap50")
    assert curve.epochs.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(curve.values, LAW.at(curve.epochs), rtol=1e-6)
    assert (np.diff(curve.hours) >= 0).all()


def test_the_pauses_of_a_resumed_run_are_no_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of an hour; the third one is done twice, as after a kill before its checkpoint."""
    for start_hours, epochs in ((1, [0, 1, 2]), (30, [2, 3]), (90, [4])):
        begun_s = 3600.0 * start_hours
        monkeypatch.setattr("time.time", lambda now=begun_s: now)
        with SummaryWriter(str(tmp_path)) as writer:
            for done, epoch in enumerate(epochs, start=1):
                for name, value in (("epoch", epoch), ("box_ap50", start_hours + epoch)):
                    writer.add_scalar(name, value, STEPS * epoch, walltime=begun_s + 3600 * done)
    curve = read_curve(tmp_path, "box_ap50")
    assert curve.epochs.tolist() == [1, 2, 3, 4, 5]
    assert curve.values.tolist() == [1, 2, 32, 33, 94]
    np.testing.assert_allclose(curve.hours, [1, 2, 4, 5, 6], atol=0.01)


def test_the_law_is_found_again(run: Path) -> None:
    law = fit(read_curve(run, "box_ap50"))
    assert law is not None
    assert law == pytest.approx(LAW, rel=1e-3)


def test_the_law_knows_when_a_value_is_reached() -> None:
    assert LAW.at(LAW.epochs_to(0.55)) == pytest.approx(0.55)
    assert math.isinf(LAW.epochs_to(0.6))


def test_three_points_predict_nothing() -> None:
    epochs = np.arange(1.0, 4)
    assert fit(Curve(epochs, epochs, LAW.at(epochs))) is None


def test_numbers_and_plot_are_written(run: Path, tmp_path: Path) -> None:
    numbers, plot = tmp_path / "curve.json", tmp_path / "curve.png"
    arguments = [str(run), "--metric=box_ap50", "--target=0.55"]
    assert main([*arguments, f"--json={numbers}", f"--png={plot}"]) == 0
    row = json.loads(numbers.read_text())["runs"]["run"]
    assert row["epochs"] == 6
    assert row["predicted_at_twice_the_epochs"] == pytest.approx(LAW.at(12), abs=1e-3)
    assert row["epochs_to_target"] == math.ceil(LAW.epochs_to(0.55))
    image = cv2.imread(str(plot))
    assert image is not None and image.std() > 5


def test_an_unknown_metric_is_named_beside_the_known_ones(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--metric=roi_miou"]) == 1
    assert "has no roi_miou, but box_ap50, epoch" in capsys.readouterr().err
