"""A training that was interrupted ends with the weights of one that was not, bit for bit."""

import gc
import os
import signal
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.networks.checkpoint import load_network, read_checkpoint
from tests.training.runs import Data, differing, train, unet_arguments
from training.callbacks.stop_on_signal import SIGNALS
from training.tasks.base import Task
from training.validation.people.metrics import PeopleSegMiou

EPOCHS = 3


@pytest.fixture(scope="module")
def uninterrupted(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert train(*unet_arguments(data, out, EPOCHS)) == 0
    return out / "last.ckpt"


class SendSignal(Callback):
    """Ctrl-C in the middle of an epoch's second step."""

    def on_before_backward(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == EPOCHS + 1:  # three steps an epoch: the second of epoch 1
            os.kill(os.getpid(), signal.SIGINT)


def test_resumed_after_an_epoch(data: Data, out: Path, uninterrupted: Path) -> None:
    fixed = f"--model.schedule.epochs={EPOCHS}"
    assert train(*unet_arguments(data, out, 1), fixed) == 0
    assert read_checkpoint(out / "last.ckpt")["epoch"] == 0
    assert train(*unet_arguments(data, out, EPOCHS), "--ckpt_path=last") == 0
    assert differing(out / "last.ckpt", uninterrupted) == []


def test_the_last_checkpoint_is_of_the_last_epoch_also_when_its_metric_is_no_better(
    data: Data, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter((0.5, 0.4))
    monkeypatch.setattr(PeopleSegMiou, "compute", lambda _: torch.tensor(next(falling)))
    assert train(*unet_arguments(data, out, 2)) == 0
    assert read_checkpoint(out / "best.ckpt")["epoch"] == 0
    assert read_checkpoint(out / "last.ckpt")["epoch"] == 1


def test_the_last_checkpoint_is_of_the_last_epoch_also_when_that_is_not_validated(
    data: Data, out: Path
) -> None:
    assert train(*unet_arguments(data, out, 3), "--trainer.check_val_every_n_epoch=2") == 0
    assert read_checkpoint(out / "best.ckpt")["epoch"] == 1
    assert read_checkpoint(out / "last.ckpt")["epoch"] == 2


def test_resumed_within_an_epoch_after_ctrl_c(
    data: Data, out: Path, uninterrupted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    interrupt = f"--trainer.callbacks+={SendSignal.__module__}.{SendSignal.__name__}"
    before = signal.getsignal(signal.SIGINT)
    assert train(*unet_arguments(data, out, EPOCHS), interrupt) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert "--ckpt_path" in capfd.readouterr().err
    assert read_checkpoint(out / "last.ckpt")["global_step"] == EPOCHS + 2
    assert train(*unet_arguments(data, out, EPOCHS), "--ckpt_path=last") == 0
    assert differing(out / "last.ckpt", uninterrupted) == []


def test_a_resume_within_an_epoch_keeps_the_frozen_frozen_and_the_clock_right(
    data: Data, out: Path
) -> None:
    frozen = [f"--model.start_from={data.people_unet}", "--model.backbone.train=frozen"]
    interrupt = f"--trainer.callbacks+={SendSignal.__module__}.{SendSignal.__name__}"
    assert train(*unet_arguments(data, out, 2), *frozen, interrupt) == 130
    assert train(*unet_arguments(data, out, 2), *frozen, "--ckpt_path=last") == 0
    begun, ended = (load_network(path).network for path in (data.people_unet, out / "last.ckpt"))
    for name, value in begun.state_dict().items():
        if name.startswith(("unet.encoder.conv_stem", "unet.encoder.bn1", "unet.encoder.blocks")):
            assert ended.state_dict()[name].equal(value), name

    events = EventAccumulator(str(out))
    events.Reload()
    shares = [event.value for event in events.Scalars("time/waiting_for_images")]
    assert max(shares) < 0.9  # the machine's whole uptime would be all of it


def test_further_epochs_go_on_along_the_same_schedule(
    data: Data, out: Path, uninterrupted: Path
) -> None:
    fixed = f"--model.schedule.epochs={EPOCHS}"
    assert train(*unet_arguments(data, out, 1), fixed) == 0
    further = ["--ckpt_path=last", f"--further_epochs={EPOCHS - 1}"]
    assert train(*unet_arguments(data, out, 1), fixed, *further) == 0
    assert differing(out / "last.ckpt", uninterrupted) == []


def test_another_seed_gives_other_weights(data: Data, out: Path, uninterrupted: Path) -> None:
    assert train(*unet_arguments(data, out, EPOCHS), "--seed_everything=1") == 0
    assert differing(out / "last.ckpt", uninterrupted)


def test_a_training_leaves_signals_and_memory_as_they_were(data: Data, out: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    assert train(*unet_arguments(data, out, 1)) == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before
    gc.collect()
    left = [one for one in gc.get_objects() if issubclass(type(one), (lightning.Trainer, Task))]
    assert left == []


def test_a_folder_with_a_training_is_not_overwritten(
    data: Data, uninterrupted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = uninterrupted.stat().st_mtime_ns
    assert train(*unet_arguments(data, uninterrupted.parent, EPOCHS)) == 1
    assert "holds a training already" in capfd.readouterr().err
    assert uninterrupted.stat().st_mtime_ns == written
