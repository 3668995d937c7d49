"""Show in TensorBoard what the network finds in a few validation images, below what is true."""

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from peopleseg.networks.checkpoint import FAMILIES, Loaded
from training.tasks.base import Task
from training.validation.images import choose_images, validation_sheet


class ValidationImages(Callback):
    """Images of 1, 2, 3 and 5 people after every validation, with the averaged weights.

    It has to stand before the callback that averages, which takes its weights back at the same
    place.
    """

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        logger = trainer.logger
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        if not isinstance(logger, TensorBoardLogger) or not isinstance(pl_module, Task):
            return
        if pl_module.family not in FAMILIES or not pl_module.drawn:
            return  # a network that nothing here draws
        networks = loaded(pl_module)
        if networks.family == "feature_head" and not networks.companions:
            return  # trained on features: nothing reads images
        images = choose_images(pl_module.data().val_images)
        sheet = validation_sheet(networks, images)
        logger.experiment.add_image("validation", sheet, trainer.global_step, dataformats="HWC")


def loaded(task: Task) -> Loaded:
    """A task's networks as if its checkpoint had been read."""
    return Loaded(task.family, task.network.dims, task.network, task.measured, task.companions())
