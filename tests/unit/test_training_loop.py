"""The training loop: a resumed run equals an uninterrupted one, a bad loss stops it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.loop import train

EPOCHS, STEPS = 4, 5


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def batches(epoch: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(STEPS):
        yield torch.randn(6, 3, generator=generator)


def run(trained: nn.Module, checkpoint: Path, feed=batches, scale: float = 1.0) -> None:
    train(
        trained,
        feed,
        lambda x: scale * (trained(x)[:, 0] - x.sum(dim=1)).pow(2).mean(),
        steps_per_epoch=STEPS,
        epochs=EPOCHS,
        max_learning_rate=1e-2,
        checkpoint=checkpoint,
        dims={},
    )


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    def interrupted(epoch: int) -> Iterator[Tensor]:
        if epoch == 2:
            raise KeyboardInterrupt
        return batches(epoch)

    run(network(), tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(network(), tmp_path / "parts.pt", interrupted)
    run(network(), tmp_path / "parts.pt")

    whole, parts = (
        torch.load(tmp_path / name, weights_only=True) for name in ("whole.pt", "parts.pt")
    )
    assert whole["epoch"] == parts["epoch"] == EPOCHS
    for key in ("model", "network"):
        for name, value in whole[key].items():
            torch.testing.assert_close(parts[key][name], value, msg=f"{key} {name}")


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1"):
        run(network(), tmp_path / "checkpoint.pt", scale=float("nan"))
    assert list(tmp_path.iterdir()) == []
