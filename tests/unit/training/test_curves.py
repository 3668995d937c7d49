"""Training curves: of a run's TensorBoard files, and of another project's history."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from training.curves import main, of_history, of_run

STEPS = 5  # of an epoch


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two epochs, stopped, and from the second one on again."""
    for second, (epochs, value) in enumerate((((0, 1), 0.1), ((1, 2), 0.5))):
        with SummaryWriter(str(tmp_path / "run")) as writer:
            for epoch in epochs:
                end = STEPS * (epoch + 1)
                for step in range(end - STEPS + 1, end + 1):
                    writer.add_scalar("epoch", epoch, step)
                    writer.add_scalar("train/loss", 2 / step, step)
                writer.add_scalar("miou_present", value, end)
                writer.add_scalar("time/backward", 0.4, end)
                writer.add_scalar("lr-Adam/pg1", 0.001, end)
        files = (tmp_path / "run").iterdir()
        (file,) = (file for file in files if not file.name.endswith(".host"))
        # the time in its name orders the files
        file.rename(file.with_name(f"events.out.tfevents.{1000 + second}.host"))
    return tmp_path / "run"


def test_a_run_has_its_losses_and_metrics_over_epochs(run: Path) -> None:
    curves = of_run(run)
    assert set(curves) == {"train/loss", "miou_present"}
    assert curves["miou_present"].epochs.tolist() == [1, 2, 3]
    np.testing.assert_allclose(curves["miou_present"].values, [0.1, 0.5, 0.5], rtol=1e-6)
    loss = curves["train/loss"]
    np.testing.assert_allclose(loss.epochs, np.arange(1, 3 * STEPS + 1) / STEPS)
    np.testing.assert_allclose(loss.values, 2 / np.arange(1, 3 * STEPS + 1), rtol=1e-6)


HISTORY = {
    "train_loss": [2.0, 1.5, 1.2],
    "val_loss": [2.2, 1.9, 1.8],
    "val_miou": [np.float64(0.1), 0.2, 0.25],
    "val_pixel_acc": [0.7, 0.71, 0.74],
}


def test_a_history_has_them_too(tmp_path: Path) -> None:
    file = tmp_path / "training_history.pth"
    torch.save({**HISTORY, "note": "none"}, file)
    curves = of_history(file)
    assert {name: curve.values.tolist() for name, curve in curves.items()} == HISTORY
    assert curves["val_miou"].epochs.tolist() == [1, 2, 3]


def test_both_are_drawn(run: Path, tmp_path: Path) -> None:
    history, out = tmp_path / "training_history.pth", tmp_path / "new" / "curves.png"
    torch.save(HISTORY, history)
    pictures = []
    for training in (run, history):
        assert main([str(training), f"--out={out}"]) == 0
        pictures.append(cv2.imread(str(out)))
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any(axis=2).mean() > 0.01


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"weights": [torch.zeros(1)]}, "has no loss and no metric, and no numbers at all"),
        ({"lr": [7.0, 8.0]}, "has no loss and no metric, but lr"),
        (Path("x"), "could not be read as weights only"),
    ],
)
def test_what_holds_no_curves_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, said: str
) -> None:
    file, out = tmp_path / "history.pth", tmp_path / "curves.png"
    torch.save(content, file)
    assert main([str(file), f"--out={out}"]) == 1
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_folder_has_no_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), f"--out={tmp_path / 'curves.png'}"]) == 1
    assert "no numbers at all" in capsys.readouterr().err
