"""Train the people UNet, alone or taught by a larger one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import CheckpointError, load_companion
from peopleseg.networks.people.people_unet import ENCODERS, LITE, PeopleUNet
from training.data.samples import ForegroundBatch
from training.losses.distillation import DistillationSchedule, distillation_loss
from training.losses.foreground import Overlap, foreground_loss
from training.pretrained.imagenet_encoder import load_imagenet_encoder, load_related_encoder
from training.tasks.base import Task
from training.validation.people.metrics import PEOPLE_SEG_MIOU, PeopleSegMiou

TEACHER_MIOU = f"teacher_{PEOPLE_SEG_MIOU}"


class PeopleForeground(Task):
    """The UNet that tells people from background.

    shrink: it works on 640 / shrink pixels. start_from: a checkpoint of the same variant.
    encoder_weights: "imagenet", from an installed package or timm's hub; "lite0", what of
    EfficientNet-lite0's fits a published encoder. detector: the checkpoint of a YOLOv9-t, for the
    encoder of a lite UNet to start from. overlap: of people and labels, beside the cross-entropy.
    teacher: the checkpoint of a trained (larger) UNet to learn from beside the labels
    (arXiv:1503.02531), by Dice.
    """

    family = "people_unet"
    monitor = PEOPLE_SEG_MIOU
    network: PeopleUNet

    def __init__(
        self,
        variant: Literal["b0", "b1", "b3", "b7", "lite", "lite0", "lite1", "mobilenetv2"] = "b0",
        shrink: int = 1,
        start_from: Path | None = None,
        encoder_weights: Literal["imagenet", "lite0"] | None = None,
        detector: Path | None = None,
        positive_weight: float = 1.0,
        overlap: Overlap = "dice",
        teacher: Path | None = None,
        distillation: DistillationSchedule = DistillationSchedule(),  # noqa: B008  (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = PeopleUNet(variant, shrink)
        for unread in self.network.unread:
            # No gradients, which a training on several processes would wait for.
            unread.requires_grad_(False)
        if start_from is None:
            self._start_encoder(encoder_weights, detector)
        self.start_from(start_from)
        if teacher is not None and overlap != "dice":
            raise CheckpointError(
                f"a teacher's loss has Dice, not {overlap}; leave out --model.overlap or "
                "--model.teacher"
            )
        self.positive_weight, self.overlap = positive_weight, overlap
        self.distillation = distillation
        # In a list, so that it is no part of what is trained, averaged and saved.
        self._teacher = [] if teacher is None else [load_companion(teacher, self.family)]
        self.miou, self.teacher_miou = PeopleSegMiou(), PeopleSegMiou()

    def _start_encoder(self, weights: str | None, detector: Path | None) -> None:
        unet, variant = self.network.unet, self.network.variant
        if weights is not None and variant == LITE:
            raise CheckpointError(
                "this encoder is a detector's; give --model.detector in place of "
                "--model.encoder_weights"
            )
        if weights == "imagenet":
            load_imagenet_encoder(unet, variant)
        elif weights is not None:
            if variant not in ENCODERS:
                raise CheckpointError(
                    f"a {variant} UNet takes its own weights: --model.encoder_weights imagenet"
                )
            load_related_encoder(unet)
        if detector is not None:
            self._start_from_detector(detector)

    def _start_from_detector(self, detector: Path) -> None:
        if self.network.variant != LITE:
            raise CheckpointError(
                f"a {self.network.variant} UNet's encoder is no detector's; leave out "
                "--model.detector"
            )
        try:
            self.network.unet.start_from_detector(load_companion(detector, "yolov9"))
        except ValueError as error:
            raise CheckpointError(f"{detector}: {error}") from error

    def backbone_stages(self) -> Sequence[nn.Module]:
        return self.network.encoder_stages

    def loss_terms(self, batch: ForegroundBatch) -> dict[str, Tensor]:
        images = batch.images.float() / 255
        logits = self.network.at_working_size(images)[:, 0]
        if not self._teacher:
            loss = foreground_loss(logits, batch.labels, self.positive_weight, self.overlap)
            return {"loss": loss}
        with torch.no_grad():
            teacher_logits = self._teacher[0].to(images.device).at_working_size(images)[:, 0]
        return distillation_loss(
            logits,
            teacher_logits,
            batch.labels,
            temperature=self.distillation.temperature(
                self.current_epoch / (self.trainer.max_epochs or 1)
            ),
            alpha=self.distillation.alpha(self._ratio_to_teacher()),
        )

    def validation_step(self, batch: ForegroundBatch, batch_idx: int) -> None:
        images = batch.images.float() / 255
        if not len(images):
            return
        self.miou.update(self.network(images), batch.labels)
        if self._measures_teacher():
            self.teacher_miou.update(self._teacher[0].to(images.device)(images), batch.labels)

    def metrics(self) -> Mapping[str, Metric]:
        if self._measures_teacher():
            return {PEOPLE_SEG_MIOU: self.miou, TEACHER_MIOU: self.teacher_miou}
        return {PEOPLE_SEG_MIOU: self.miou}

    def on_validation_epoch_end(self) -> None:
        before = self.measured
        super().on_validation_epoch_end()
        if TEACHER_MIOU in before:
            self.measured[TEACHER_MIOU] = before[TEACHER_MIOU]

    def _measures_teacher(self) -> bool:
        """Once: it does not change."""
        return bool(self._teacher) and TEACHER_MIOU not in self.measured

    def _ratio_to_teacher(self) -> float:
        """Of the last validation's metrics; 1 before the first one."""
        if TEACHER_MIOU not in self.measured:
            return 1.0
        return self.measured[PEOPLE_SEG_MIOU] / self.measured[TEACHER_MIOU]
