"""Let Ctrl-C end a training between two steps and leave a checkpoint that goes on just there."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """A signal ended the training; the message names the checkpoint that goes on."""


class StopOnSignal(Checkpoint):
    """Write `path` after the step that a SIGINT or SIGTERM falls into, then stop.

    A second signal stops at once, without a checkpoint. The trainer calls checkpoint callbacks
    last, so that what is written includes the step's averaged weights.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.received: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        # Not earlier: the trainer notes all handlers before, and sets them again at its end.
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # Every process of a distributed training has to stop after the same step.
        if not trainer.strategy.reduce_boolean_decision(self.received is not None, all=False):
            return
        trainer.save_checkpoint(self.path)
        raise Stopped(f"stopped after a step; --ckpt_path {self.path} goes on from there")

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        self._restore_handlers()

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            # At its end the trainer has set those of before it; its own would keep it alive.
            if signal.getsignal(number) == self._receive:
                signal.signal(number, handler)
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        print("\nstopping after this step; once more stops at once, without a checkpoint")
