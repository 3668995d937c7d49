"""What every training task shares: optimiser, schedule, backbone, checkpoint entry, seeds."""

import hashlib
import math
import os
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import (
    COMPANION_FAMILIES,
    NETWORK,
    TRAINED_ON,
    CheckpointError,
    describe,
    load_network,
)
from training.data.images import DataError
from training.data.loading import TrainingData
from training.optimisation import (
    BackboneSettings,
    OptimizerSettings,
    ScheduleSettings,
    build_optimizer,
    build_schedule,
    parameter_groups,
)
from training.validation.leak import trained_on


class Task(lightning.LightningModule):
    """A network with its loss and its validation metrics.

    A task sets `family`, `monitor` and `network`, and defines `loss_terms`, `validation_step` and
    `metrics`.
    """

    family: str
    network: Any  # a module with `dims`, the arguments that build it
    monitor: str  # the metric that the best checkpoint has the highest of
    drawn = True  # whether what it finds is shown beside what is true, see ValidationImages
    only_in_training: tuple[str, ...] = ()  # prefixes of weights that another checkpoint may lack
    # Parts that begin anew where another checkpoint lacks them or has them in other shapes.
    begins_anew: tuple[str, ...] = ()

    def __init__(
        self,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008  (frozen)
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008
        backbone: BackboneSettings = BackboneSettings(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.optimizer_settings = optimizer
        self.schedule_settings = schedule
        self.backbone_settings = backbone
        self.measured: dict[str, float] = {}  # of the last validation
        self.started_on: tuple[str, ...] = ()  # images of the checkpoint that it started from
        self.broken_images: set[str] = set()  # found while training, each named once
        self.decoded_any = False  # image of this training

    @abstractmethod
    def loss_terms(self, batch: Any) -> dict[str, Tensor]:
        """Every term of the loss, weighted, and their sum as "loss"."""

    def backbone_stages(self) -> Sequence[nn.Module]:
        """The pretrained part, shallow to deep; empty where a task has none."""
        return ()

    def trained(self) -> nn.Module:
        """What the optimiser changes, where it requires gradients."""
        return self.network  # type: ignore[no-any-return]

    def companions(self) -> dict[str, Any]:
        """Frozen networks that this one reads, by attribute; they are saved beside it."""
        named = {name: getattr(self, name, None) for name in COMPANION_FAMILIES}
        return {name: network for name, network in named.items() if network is not None}

    def images_learned(self) -> Sequence[Path]:
        """The images that the checkpoint names as learned from; none: it does not say."""
        return ()

    def trained_size(self) -> int | None:
        """Side of the square that the network learns in, where it takes several; pixels."""
        return None

    def train(self, mode: bool = True) -> "Task":
        """Training mode, but not for the frozen networks."""
        super().train(mode)
        for network in self.companions().values():
            network.eval()
        return self

    def start_from(self, checkpoint: Path | None) -> None:
        """Take the weights of a checkpoint of the same network.

        Those of `begins_anew` may be missing or have other shapes; that they stay as they are is
        told.
        """
        if checkpoint is None:
            return
        loaded = load_network(Path(checkpoint))
        if loaded.family != self.family:
            raise CheckpointError(f"{checkpoint} holds a {loaded.family}, not a {self.family}")
        self.started_on = loaded.trained_on
        weights = loaded.network.state_dict()
        anew = self._parts_that_differ(weights)
        if anew:
            print(
                f"{checkpoint}: {', '.join(anew)} is missing or has other shapes and begins anew",
                file=sys.stderr,
            )
            weights = {k: v for k, v in weights.items() if not k.startswith(anew)}
        try:
            misfits = self.network.load_state_dict(weights, strict=False)
        except RuntimeError as error:  # weights of other shapes
            raise CheckpointError(
                f"{checkpoint} has dims {loaded.dims}, not {self.network.dims}"
            ) from error
        wrong = [
            key
            for key in (*misfits.missing_keys, *misfits.unexpected_keys)
            if not key.startswith((*self.only_in_training, *anew))
        ]
        if wrong:
            raise CheckpointError(
                f"{checkpoint} has dims {loaded.dims}, not {self.network.dims}; keys that do not "
                f"fit: {', '.join(wrong)}"
            )

    def _parts_that_differ(self, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Those of `begins_anew` in which a weight is not there or has another shape here."""
        own = self.network.state_dict()
        return tuple(
            part
            for part in self.begins_anew
            if any(
                key.startswith(part) and (key not in weights or weights[key].shape != value.shape)
                for key, value in own.items()
            )
        )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        if self.is_empty(batch):
            return self._no_loss()
        terms = self.loss_terms(batch)
        if not torch.isfinite(terms["loss"]):
            raise FloatingPointError(
                f"the loss is {terms['loss'].item()} in epoch {self.current_epoch}, batch "
                f"{batch_idx}; lower the learning rate or train in FP32 (--trainer.precision 32)"
            )
        size = len(batch.images)
        self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()}, batch_size=size)
        self.log("loss", terms["loss"].detach(), prog_bar=True, logger=False, batch_size=size)
        return terms["loss"]

    def is_empty(self, batch: Any) -> bool:
        """Whether a batch has nothing to learn from (every image of it was broken, say)."""
        return len(batch.images) == 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._name_broken(batch)
        self.decoded_any |= len(batch.images) > 0
        # Dropout draws the same after a resume as it would have without the interruption.
        seed = os.environ.get("PL_GLOBAL_SEED", "0")  # set by Lightning's seed_everything
        place = (seed, self.trainer.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(hashlib.sha256(repr(place).encode()).hexdigest()[:15], 16))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainer.is_last_batch and not self.decoded_any:
            raise DataError("no image decodes of those to train on; the first are named above")

    def on_validation_batch_start(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._name_broken(batch)

    def on_fit_start(self) -> None:
        # Convolutions train a fifth faster in this layout, and it changes no result.
        self.network.to(memory_format=torch.channels_last)

    def on_train_start(self) -> None:
        self._freeze_stages()  # a training resumed within an epoch does not start that epoch

    def on_train_epoch_start(self) -> None:
        self._freeze_stages()

    def _freeze_stages(self) -> None:
        """Norms of stages that do not train yet keep their statistics."""
        first_epochs = self.backbone_settings.first_epochs(len(self.backbone_stages()))
        for stage, first_epoch in zip(self.backbone_stages(), first_epochs, strict=True):
            frozen = self.backbone_settings.train == "frozen"
            stage.train(not frozen and self.current_epoch >= first_epoch)

    def on_train_end(self) -> None:
        if self.broken_images:
            count = len(self.broken_images)
            print(f"left out {count} broken image{'s' * (count > 1)}", file=sys.stderr)

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """The validation's metrics; `validation_step` updates them."""

    def on_validation_epoch_end(self) -> None:
        measured: dict[str, float] = {}
        for name, metric in self.metrics().items():
            value = metric.compute()
            values = value if isinstance(value, dict) else {name: value}
            measured |= {key: float(v) for key, v in values.items()}
            metric.reset()
        if self.trainer.sanity_checking:  # a few images: no metrics
            return
        self.measured = measured
        self.log_dict(measured, prog_bar=True)

    def configure_optimizers(self) -> Any:
        if self.backbone_settings.train == "frozen":
            for stage in self.backbone_stages():
                stage.requires_grad_(False)
        optimizer = build_optimizer(
            self.optimizer_settings,
            parameter_groups(
                self.trained(),
                self.backbone_stages(),
                self.optimizer_settings,
                self.backbone_settings,
            ),
        )
        max_epochs = self.trainer.max_epochs or -1
        if max_epochs < 1:
            raise ValueError(f"trainer.max_epochs is {max_epochs}; name a number of epochs")
        steps = math.ceil(self.trainer.estimated_stepping_batches / max_epochs)
        schedule = build_schedule(
            self.schedule_settings, optimizer, steps_per_epoch=steps, max_epochs=max_epochs
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def data(self) -> TrainingData:
        """What is trained and validated on; once attached to a trainer."""
        return self.trainer.datamodule  # type: ignore[attr-defined, no-any-return]

    def _name_broken(self, batch: Any) -> None:
        for line in sorted(set(batch.skipped) - self.broken_images):
            print(f"left out: {line}", file=sys.stderr)
        self.broken_images.update(batch.skipped)

    def _no_loss(self) -> Tensor | None:
        """Of an empty batch: nothing, and no step. Other processes' batches may have people, and
        wait for this one's gradients: it then gives zeros."""
        if self.trainer.world_size == 1:
            return None
        trained = [p for p in self.trained().parameters() if p.requires_grad]
        return torch.stack([0 * p.sum() for p in trained]).sum()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        described = checkpoint["network"]
        if (described["family"], described["dims"]) != (self.family, dict(self.network.dims)):
            raise CheckpointError(
                f"--ckpt_path holds a {described['family']} of {described['dims']}, this is a "
                f"{self.family} of {dict(self.network.dims)}; begin another training in a new --out"
            )
        self.measured = dict(checkpoint["metrics"])
        self.started_on = tuple(checkpoint.get(TRAINED_ON, ()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        companions = {name: network.dims for name, network in self.companions().items()}
        checkpoint["network"] = describe(
            self.family, self.network.dims, companions, self.trained_size()
        )
        checkpoint["metrics"] = dict(self.measured)
        if names := trained_on(self.images_learned(), self.started_on):
            checkpoint[TRAINED_ON] = names


assert NETWORK == "network"  # the attribute's name is the prefix of the checkpoint's keys
