"""Keep the weights that a training of a fixed time ends with."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

END = "end.ckpt"


class SaveAtEnd(Callback):
    """Write END into the run's folder when the training ends, wherever in an epoch that is.

    It has to stand after the callback that averages, which leaves the average as the weights.
    """

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        trainer.save_checkpoint(Path(trainer.logger.log_dir) / END)  # type: ignore
