"""Train the mask head that reads nothing but a frozen detector's features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.contract import FEATURE_STRIDE
from peopleseg.networks.feature_head import ROI_FEATURE_SIZE, RoiFeatureHead
from peopleseg.networks.roi_align import roi_align
from training.checkpoint import load_companion
from training.data.samples import RoiBatch
from training.losses.feature_head import SEPARATION_AWARE_WEIGHTS, FeatureHeadLoss
from training.optimisation import BackboneSettings, OptimizerSettings, ScheduleSettings
from training.tasks.base import Task
from training.validation.metrics import TWO_CLASS_MIOU, mask_metrics


class PersonMasksFromFeatures(Task):
    """The head on YOLOv9's stride-8 features.

    detector: checkpoint of the trained YOLOv9, of any variant. class_weights: of background,
    target and non-target, as `peopleseg data-stats` prints them. start_from: a checkpoint of the
    same head.
    """

    family = "feature_head"
    monitor = TWO_CLASS_MIOU
    network: RoiFeatureHead

    def __init__(
        self,
        detector: Path,
        class_weights: Sequence[float] = SEPARATION_AWARE_WEIGHTS,
        start_from: Path | None = None,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008  (frozen)
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008
        backbone: BackboneSettings = BackboneSettings(),  # noqa: B008
    ) -> None:
        super().__init__(optimizer, schedule, backbone)
        self.detector = load_companion(detector, "yolov9")
        self.network = RoiFeatureHead(self.detector.feature_channels)
        self.start_from(start_from)
        self.loss = FeatureHeadLoss(class_weights)
        self.mious = nn.ModuleDict(mask_metrics())

    def train(self, mode: bool = True) -> "PersonMasksFromFeatures":
        """Training mode, but not for the frozen detector."""
        super().train(mode)
        self.detector.eval()
        return self

    def companions(self) -> Mapping[str, tuple[nn.Module, Mapping[str, Any]]]:
        return {"detector": (self.detector, self.detector.dims)}

    def is_empty(self, batch: RoiBatch) -> bool:
        return len(batch.labels) == 0

    def mask_logits(self, batch: RoiBatch) -> Tensor:
        """[N, 3, 56, 56]."""
        with torch.no_grad():
            features = self.detector(batch.images.float() / 255).features.float()
            size_hw = (ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
            roi_features = roi_align(features, batch.rois, size_hw, 1 / FEATURE_STRIDE)
        return self.network(roi_features)  # type: ignore[no-any-return]

    def loss_terms(self, batch: RoiBatch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.loss(self.mask_logits(batch), batch.labels.long())
        return terms

    def validation_step(self, batch: RoiBatch, batch_index: int) -> None:
        if self.is_empty(batch):
            return
        mask_logits = self.mask_logits(batch)
        for metric in self.metrics().values():
            metric.update(mask_logits, batch.labels)

    def metrics(self) -> Mapping[str, Metric]:
        return dict(self.mious.items())  # type: ignore[arg-type]
