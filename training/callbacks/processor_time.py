"""Stop a training by the work that it was given, however busy the machine is with other things."""

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class StopAfterProcessorTime(Callback):
    """Stop after the step in which all threads of this process together have worked `minutes`.

    With one thread that is the wall-clock time on an idle machine. What happens before the first
    step does not count, nor do the processes that load images.
    """

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self._started_s = 0.0

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._started_s = time.process_time()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        if time.process_time() - self._started_s >= 60 * self.minutes:
            trainer.should_stop = True
