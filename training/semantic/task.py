"""Train a DeepLabV3+ on label maps, alone or taught by a larger network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import CheckpointError, load_network
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.systems.semantic.contract import VOC_CLASSES
from training.semantic.data import SemanticBatch
from training.semantic.losses import Kind, class_map_loss, distillation
from training.semantic.metrics import MIOU, ClassMapMetrics
from training.semantic.teachers import load_teacher
from training.tasks.base import Task


@dataclass(frozen=True)
class Distillation:
    """How much a teacher counts, as published."""

    alpha: float = 1.0  # of the labels' loss
    beta: float = 0.5  # of the teacher's
    temperature: float = 4.0


class SemanticSegmentation(Task):
    """A class for every pixel.

    variant: original, or optimised for edge devices. classes: their names, the background first.
    dilated: finer last maps, at the same number of parameters. loss: of the labels. class_weights:
    one for each class, of cross-entropy and focal loss. start_from: a checkpoint of the same
    network; a classifier of other classes begins anew. backbone_from: a checkpoint whose backbone
    to begin with, of either variant. teacher: the checkpoint of a trained network of the same
    classes to learn from beside the labels (arXiv:1503.02531), or the name of one of torchvision's,
    whose weights come over the network.
    """

    family = "deeplab"
    monitor = MIOU
    begins_anew = ("classifier.",)
    network: DeepLab

    def __init__(
        self,
        variant: Literal["original", "optimised"] = "optimised",
        classes: Sequence[str] = VOC_CLASSES,
        dilated: bool = False,
        loss: Kind = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        start_from: Path | None = None,
        backbone_from: Path | None = None,
        teacher: str | None = None,
        distillation: Distillation = Distillation(),  # noqa: B008  (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = DeepLab(variant, classes, dilated)
        self.loss, self.distillation = loss, distillation
        self.class_weights = _weights(class_weights, len(classes))
        if backbone_from is not None:
            self.started_on = start_backbone(self.network, Path(backbone_from))
        self.start_from(start_from)
        # In a list, so that it is no part of what is trained, averaged and saved.
        self._teacher = [] if teacher is None else [load_teacher(teacher, self.network.classes)]
        self.class_map_metrics = ClassMapMetrics(len(classes))

    def images_learned(self) -> Sequence[Path]:
        return [one.image.path for one in self.data().train_images]

    def trained_size(self) -> int:
        return int(self.data().size)  # type: ignore[attr-defined]

    def backbone_stages(self) -> Sequence[nn.Module]:
        return self.network.encoder_stages

    def loss_terms(self, batch: SemanticBatch) -> dict[str, Tensor]:
        images = batch.images.float() / 255
        logits = self.network(images)
        labels = class_map_loss(self.loss, logits, batch.labels, self._weights_on(logits.device))
        if not self._teacher:
            return {"loss": labels}
        with torch.no_grad():
            taught = self._teacher[0].to(images.device)(images)
        weights = self.distillation
        terms = {
            "labels": weights.alpha * labels,
            "teacher": weights.beta
            * distillation(logits, taught, batch.labels.long(), weights.temperature),
        }
        return {**terms, "loss": terms["labels"] + terms["teacher"]}

    def validation_step(self, batch: SemanticBatch, batch_idx: int) -> None:
        if len(batch.images):
            self.class_map_metrics.update(self.network(batch.images.float() / 255), batch.labels)

    def metrics(self) -> Mapping[str, Metric]:
        return {MIOU: self.class_map_metrics}

    def _weights_on(self, device: torch.device) -> Tensor | None:
        return None if self.class_weights is None else self.class_weights.to(device)


def start_backbone(network: DeepLab, checkpoint: Path) -> tuple[str, ...]:
    """Take the backbone of a checkpoint. Returns the images that it names as learned from.

    Raises CheckpointError.
    """
    loaded = load_network(checkpoint)
    found = loaded.network
    if not isinstance(found, DeepLab):
        raise CheckpointError(
            f"{checkpoint} has no backbone of a deeplab; name a checkpoint of either variant"
        )
    network.backbone.load_state_dict(found.backbone.state_dict())
    return loaded.trained_on


def _weights(weights: Sequence[float] | None, classes: int) -> Tensor | None:
    if weights is None:
        return None
    if len(weights) != classes or min(weights) < 0:
        raise CheckpointError(
            f"--model.class_weights has {len(weights)} numbers; expected one from 0 on for each of "
            f"{classes} classes"
        )
    return torch.tensor(list(weights), dtype=torch.float32)
