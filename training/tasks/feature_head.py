"""Train the mask head that reads nothing but a frozen detector's features.

They are computed on the fly from images, or were before, by `peopleseg precompute-features`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from peopleseg.networks.checkpoint import CheckpointError, detector_file, load_detector
from peopleseg.networks.people.feature_head import RoiFeatureHead
from peopleseg.repository.manifest import sha256
from training.data.features import FeatureBatch, roi_features
from training.data.precomputed import PrecomputedFeatureData
from training.data.rois import RoiData
from training.data.samples import RoiBatch
from training.losses.feature_head import SEPARATION_AWARE_WEIGHTS, FeatureHeadLoss
from training.tasks.mask_head import MaskTask
from training.validation.people.metrics import TWO_CLASS_MIOU


class PersonMasksFromFeatures(MaskTask):
    """The head on a detector's features, YOLOv9's of stride 8.

    detector: checkpoint of the trained YOLOv9, of any variant, or a version folder of a served
    detector. With pre-computed features it may be
    left out, and feature_channels says how many theirs are; given all the same, it is saved with
    the head. class_weights: of background, target and non-target, or the file that `peopleseg
    data-stats --json` wrote. start_from: a checkpoint of the same head.
    """

    family = "feature_head"
    monitor = TWO_CLASS_MIOU
    network: RoiFeatureHead

    def __init__(
        self,
        detector: Path | None = None,
        feature_channels: int = 1024,
        class_weights: Sequence[float] | Path = SEPARATION_AWARE_WEIGHTS,
        start_from: Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.detector = load_detector(detector)
        self.detector_path = detector
        if self.detector is not None:
            feature_channels = self.detector.feature_channels
        self.network = RoiFeatureHead(feature_channels)
        self.start_from(start_from)
        self.loss = FeatureHeadLoss(class_weights)

    def setup(self, stage: str) -> None:
        data = self.data()
        if isinstance(data, RoiData) and data.roi.mistakes:
            raise CheckpointError(
                f"data.roi.mistakes is {data.roi.mistakes}; this head learns from people "
                "alone: set it to 0"
            )
        if isinstance(data, PrecomputedFeatureData):
            if self.detector_path is not None:
                data.require(detector_sha256=sha256(detector_file(self.detector_path)))
            data.require(channels=self.network.in_channels)
        elif self.detector is None:
            raise CheckpointError(
                "this head reads a detector's features: give --model.detector CHECKPOINT"
            )

    def mask_logits(self, batch: RoiBatch | FeatureBatch) -> Tensor:
        """[N, 3, 56, 56]."""
        if isinstance(batch, FeatureBatch):
            return self.network(batch.roi_features.float())  # type: ignore[no-any-return]
        images = batch.images.float() / 255
        return self.network(roi_features(self.detector, images, batch.rois))  # type: ignore[no-any-return]

    def loss_terms(self, batch: RoiBatch | FeatureBatch) -> dict[str, Tensor]:
        return self.loss(self.mask_logits(batch), batch.labels.long())  # type: ignore[no-any-return]
