"""Train the hierarchical mask head beside a frozen people UNet and a frozen detector.

Alone, or taught by another head.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import (
    CheckpointError,
    load_companion,
    load_detector,
    load_network,
)
from peopleseg.networks.people.hierarchical import PersonMaskHead
from peopleseg.networks.people.mask_head import MaskHead
from peopleseg.networks.people.person_mask_head import person_mask_head
from peopleseg.networks.people.person_segmenter import PersonSegmenter
from training.data.mistakes import with_mistakes
from training.data.rois import RoiData
from training.data.samples import RoiBatch
from training.losses.hierarchical import HierarchicalLoss
from training.losses.mask_distillation import MaskDistillation, mask_divergence
from training.tasks.base import Task
from training.validation.people.metrics import ROI_MIOU, mask_metrics


class MaskTask(Task):
    """A head that makes the masks of people in boxes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.mious = nn.ModuleDict(mask_metrics())

    @abstractmethod
    def mask_logits(self, batch: Any) -> Tensor:
        """[N, 3, h, w] of the classes of the labels."""

    def is_empty(self, batch: Any) -> bool:
        return len(batch.labels) == 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.is_empty(batch):
            return
        mask_logits = self.mask_logits(batch)
        for metric in self.metrics().values():
            metric.update(mask_logits, batch.labels)

    def metrics(self) -> Mapping[str, Metric]:
        return dict(self.mious.items())  # type: ignore[arg-type]


class PersonMasks(MaskTask):
    """The hierarchical head: for every box the masks of its person and of the others.

    As published it reads RGB and the people UNet's logit (`reads_person_logit`); the fused form
    also reads the detector's features (`reads_features`). The lite head can also judge whether a
    box is a person's at all (`judges_presence`), which it learns from the detector's mistakes
    (`data.roi.mistakes`); with `backbone.train: frozen` it learns nothing else. people_unet: a
    checkpoint of that network. detector: one of a YOLOv9, or a version folder of a served detector.
    start_from: a checkpoint of the same head, also beside another detector. teacher: the checkpoint
    of a trained (larger) head to learn from beside the labels (arXiv:1503.02531); what that one
    reads comes from the same file.
    """

    family = "hierarchical_head"
    monitor = ROI_MIOU
    # Beside a detector with other features; after a training without.
    begins_anew = ("feature_reducer.", "presence.")
    only_in_training = ("segmentation_head.contour_branch.", "segmentation_head.distance_decoder.")
    network: MaskHead

    def __init__(
        self,
        variant: Literal["b0", "b1", "b1_enhanced", "b7", "b7_enhanced", "lite"] = "b0",
        reads_person_logit: bool = True,
        reads_features: bool = False,
        people_unet: Path | None = None,
        detector: Path | None = None,
        roi_size_hw: tuple[int, int] = (64, 48),
        judges_presence: bool = False,
        start_from: Path | None = None,
        loss: HierarchicalLoss | None = None,
        teacher: Path | None = None,
        distillation: MaskDistillation = MaskDistillation(),  # noqa: B008  (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        _require(reads_person_logit, people_unet, "people_unet", "the people UNet's logit")
        _require(reads_features, detector, "detector", "a detector's features")
        self.people_unet = load_companion(people_unet, "people_unet")
        self.detector = load_detector(detector)
        self.network = person_mask_head(
            variant,
            feature_channels=self.detector.feature_channels if reads_features else 0,
            reads_person_logit=reads_person_logit,
            roi_size_hw=roi_size_hw,
            judges_presence=judges_presence,
        )
        if isinstance(self.network, PersonMaskHead):
            # In published checkpoints, but read by nothing: it gets no gradients, which a training
            # on several processes would wait for.
            self.network.segmentation_head.distance_decoder.threshold.requires_grad_(False)
        self.start_from(start_from)
        self.loss = loss or HierarchicalLoss()
        self.distillation = distillation
        # In a list: its modules are registered above, under the names that a checkpoint has.
        self._segmenter = [PersonSegmenter(self.network, self.people_unet, self.detector)]
        # Likewise, so that it is no part of what is trained, averaged and saved.
        self._teacher = [] if teacher is None else [_load_teacher(teacher, self.family)]

    def backbone_stages(self) -> Sequence[nn.Module]:
        """Of a head that judges presence: what makes the masks, as one stage."""
        if not self.network.judges_presence:
            return ()
        parts = self.network.named_children()
        return (nn.ModuleList(part for name, part in parts if name != "presence"),)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        data = self.data()
        if not isinstance(data, RoiData) or not data.roi.mistakes:
            return
        if not self.network.judges_presence:
            lacking = "does not judge presence, which is all that learns from them"
        elif self.detector is None:
            lacking = "reads no detector, whose mistakes these are"
        else:
            return
        raise CheckpointError(
            f"data.roi.mistakes is {data.roi.mistakes}, but this head {lacking}: set it to 0, "
            "or give --model.variant lite --model.judges_presence true "
            "--model.reads_features true and --model.detector"
        )

    def loss_terms(self, batch: RoiBatch) -> dict[str, Tensor]:
        images = batch.images.float() / 255
        maps = self._segmenter[0].maps(images, predictions=batch.mistakes > 0)
        present = None
        if maps.predictions is not None:
            batch, present = with_mistakes(batch, maps.predictions)
        output = self._segmenter[0](images, batch.rois, refine=True, maps=maps)
        terms: dict[str, Tensor] = self.loss(output, batch.labels.long(), present)
        if not self._teacher:
            return terms
        with torch.no_grad():
            taught = self._teacher[0].to(images.device)(images, batch.rois)
        distillation = self.distillation.weight * mask_divergence(
            output.mask_logits, taught.mask_logits, self.distillation.temperature
        )
        return {**terms, "distillation": distillation, "loss": terms["loss"] + distillation}

    def mask_logits(self, batch: RoiBatch) -> Tensor:
        return self._segmenter[0](batch.images.float() / 255, batch.rois).mask_logits


def _require(reads: bool, checkpoint: Path | None, name: str, what: str) -> None:
    if reads != (checkpoint is not None):
        verb = "give" if reads else "leave out"
        reading = "reads" if reads else "does not read"
        raise CheckpointError(f"this head {reading} {what}: {verb} --model.{name} CHECKPOINT")


def _load_teacher(checkpoint: Path, family: str) -> PersonSegmenter:
    """The head of a checkpoint with the networks that it reads, frozen."""
    loaded = load_network(Path(checkpoint))
    if loaded.family != family:
        raise CheckpointError(f"{checkpoint} holds a {loaded.family}, not a {family}")
    head: Any = loaded.network  # of the class that the family says
    companions: Any = loaded.companions
    try:
        teacher = PersonSegmenter(head, **companions)
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint} cannot teach: {error} in the same file, as a training's best.ckpt has"
        ) from error
    return teacher.eval().requires_grad_(False)
