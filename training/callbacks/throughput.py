"""Say after every epoch how fast it went and where its time went."""

import time
from collections import defaultdict
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

PHASES = ("waiting for images", "forward and loss", "backward", "optimiser and averaging")


class Throughput(Callback):
    """Seconds of each phase of the training steps, as shares of the epoch, printed and logged.

    "waiting for images" is what the loader's workers cost: near 0 when they keep up. On a GPU
    each phase is waited for, so that its time is its own.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.images = 0
        self._last = 0.0

    def on_train_start(self, *_: Any) -> None:
        self._last = time.perf_counter()  # a resumed training may not start its first epoch

    def on_train_epoch_start(self, *_: Any) -> None:
        self.seconds.clear()
        self.images = 0
        self._last = time.perf_counter()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self._end_of("waiting for images")
        self.images += len(batch.images) * trainer.world_size

    def on_before_backward(self, *_: Any) -> None:
        self._end_of("forward and loss")

    def on_after_backward(self, *_: Any) -> None:
        self._end_of("backward")

    def on_train_batch_end(self, *_: Any) -> None:
        self._end_of("optimiser and averaging")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        total = sum(self.seconds.values())
        if not total:
            return
        rate = self.images / total
        shares = {phase: self.seconds[phase] / total for phase in PHASES}
        pl_module.log("time/images_per_second", rate, rank_zero_only=True)
        for phase, share in shares.items():
            pl_module.log(f"time/{phase.replace(' ', '_')}", share, rank_zero_only=True)
        if trainer.is_global_zero:
            text = ", ".join(f"{share:.0%} {phase}" for phase, share in shares.items())
            trainer.print(f"epoch {trainer.current_epoch}: {rate:.2f} images/s; {text}")

    def _end_of(self, phase: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
