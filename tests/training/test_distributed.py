"""Two processes train one network: the same weights on both, one checkpoint, a clean stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from peopleseg.networks.checkpoint import load_network, read_checkpoint
from tests.data.people_images import REPOSITORY, write_data_set
from tests.training.runs import CONFIGS, Data, unet_arguments
from tests.training.test_configs import small
from training.cli import build

TIMEOUT_S = 300
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.limit_val_batches=1.0"]


def start(*arguments: str) -> subprocess.Popen[str]:
    """`peopleseg train ...` in a group of processes of its own, as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "peopleseg.cli.main", "train", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def two_processes(data: Data, out: Path, epochs: int, *callbacks: type[Callback]) -> list[str]:
    """A people UNet on six images, one at a time: three steps an epoch of each process."""
    added = [f"--trainer.callbacks+={c.__module__}.{c.__name__}" for c in callbacks]
    one = "--data.loader.batch_size=1"
    return [*unet_arguments(data, out, epochs), *TWO, one, *added]


def test_two_processes_train_the_same_weights(data: Data, out: Path) -> None:
    process = start(*two_processes(data, out, 2, SameWeights))
    printed, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, printed
    checkpoint = read_checkpoint(out / "last.ckpt")
    assert checkpoint["global_step"] == 6
    metrics = load_network(out / "best.ckpt").metrics
    assert metrics and all(0 <= value <= 1 for value in metrics.values())
    assert printed.count(SameWeights.SEEN) == 2  # once an epoch, of both together


def test_an_image_that_does_not_decode_keeps_no_process_waiting(
    data: Data, out: Path, tmp_path: Path
) -> None:
    images, annotations = write_data_set(tmp_path / "broken", count=6)
    cut_off = images / "003.png"
    cut_off.write_bytes(cut_off.read_bytes()[:-2000])
    broken = data._replace(images=images, annotations=annotations)
    process = start(*two_processes(broken, out, 1, SameWeights))
    printed, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, printed
    assert f"left out: {cut_off}" in printed
    assert read_checkpoint(out / "last.ckpt")["global_step"] == 3


@pytest.mark.parametrize("config", ["people_unet_b0", "yolov9_t", "hierarchical_fused"])
def test_everything_that_is_trained_gets_a_gradient(config: str, data: Data, out: Path) -> None:
    """Or else the processes would wait for it for ever."""
    task, images = build(
        ["fit", f"--config={CONFIGS / config}.yaml", *data.arguments(), *small(config, data)]
        + [f"--out={out}"]
    )
    images.setup("fit")
    samples = [images.training_sample(image, 0) for image in images.train_images[-2:]]
    task.train()
    task.loss_terms(images.collate(samples))["loss"].backward()
    trained = {name: p for name, p in task.named_parameters() if p.requires_grad}
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []


def test_ctrl_c_stops_both_and_the_checkpoint_goes_on(data: Data, out: Path) -> None:
    process = start(*two_processes(data, out, 2, CtrlC))
    printed, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, printed
    assert "--ckpt_path" in printed and "Traceback" not in printed
    assert read_checkpoint(out / "last.ckpt")["global_step"] == 5
    resumed = start(*two_processes(data, out, 2, SameWeights), "--ckpt_path=last")
    printed, _ = resumed.communicate(timeout=TIMEOUT_S)
    assert resumed.returncode == 0, printed
    assert read_checkpoint(out / "last.ckpt")["global_step"] == 6


def test_an_error_in_one_process_ends_both(data: Data, out: Path) -> None:
    process = start(*two_processes(data, out, 2, FailsInOne))
    printed, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, 130)
    assert "only here" in printed


class SameWeights(Callback):
    """Fails when the processes' weights differ after a step, or their images do not."""

    SEEN = "six images, each once"

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.drawn.append(float(batch.images.double().mean()))
        weights = torch.cat([p.detach().double().flatten() for p in pl_module.parameters()])
        sums = trainer.strategy.all_gather(torch.stack([weights.sum(), weights.abs().sum()]))
        if not sums[0].equal(sums[1]):
            raise AssertionError(f"the processes' weights differ: {sums.tolist()}")

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        drawn = trainer.strategy.all_gather(torch.tensor(self.drawn, dtype=torch.float64))
        self.drawn = []
        if len(drawn.unique()) == 6 and trainer.is_global_zero:
            print(self.SEEN)


class CtrlC(Callback):
    """Interrupts all processes, as a terminal does, in the fifth step."""

    def on_before_backward(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == 4 and trainer.is_global_zero:
            os.killpg(0, signal.SIGINT)


class FailsInOne(Callback):
    """An error of the second process alone."""

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == 1 and not trainer.is_global_zero:
            raise RuntimeError("only here")
