"""Train the person detector (YOLOv9)."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.geometry import Letterbox
from peopleseg.networks.yolov9 import YOLOv9
from peopleseg.networks.yolov9_blocks import SPPELAN, Detect
from training.data.detection import DetectionValidationBatch
from training.data.samples import DetectionBatch
from training.losses.detection import detection_losses, dual_losses
from training.optimisation import BackboneSettings, OptimizerSettings, ScheduleSettings
from training.tasks.base import Task
from training.validation.metrics import BoxAveragePrecision


class PersonDetection(Task):
    """YOLOv9 for people, with or without its auxiliary branch (arXiv:2402.13616).

    start_from: a checkpoint of the same variant whose weights to begin with.
    """

    family = "yolov9"
    monitor = "box_ap50"
    only_in_training = ("auxiliary.",)
    network: YOLOv9

    def __init__(
        self,
        variant: Literal["t", "s", "m", "c", "e"] = "t",
        auxiliary: bool = True,
        start_from: Path | None = None,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008  (frozen)
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008
        backbone: BackboneSettings = BackboneSettings(),  # noqa: B008
    ) -> None:
        super().__init__(optimizer, schedule, backbone)
        self.network = YOLOv9(variant, auxiliary=auxiliary)
        self.start_from(start_from)
        self.average_precision: BoxAveragePrecision | None = None

    def backbone_stages(self) -> Sequence[nn.Module]:
        """The layers before the feature pyramid."""
        return tuple(
            itertools.takewhile(lambda layer: not isinstance(layer, SPPELAN), self.network.layers)
        )

    def setup(self, stage: str) -> None:
        pictures = self.data().val_pictures
        self.pictures = {picture.id: picture for picture in pictures}
        self.average_precision = BoxAveragePrecision(pictures)

    def loss_terms(self, batch: DetectionBatch) -> dict[str, Tensor]:
        output = self.network(batch.images.float() / 255)
        truth = batch.boxes_xyxy, batch.ignored_xyxy
        main = detection_losses(self.network.detect, output.predictions, *truth)
        auxiliary = None
        if output.auxiliary is not None:
            detect = self.network.auxiliary[-1]
            assert isinstance(detect, Detect)
            auxiliary = detection_losses(detect, output.auxiliary, *truth)
        losses = dual_losses(main, auxiliary)
        return {**losses._asdict(), "loss": losses.total}

    def validation_step(self, batch: DetectionValidationBatch, batch_idx: int) -> None:
        assert self.average_precision is not None
        if not len(batch.images):
            return
        predictions = self.network(batch.images.float() / 255).predictions
        for picture_id, found in zip(batch.picture_ids, predictions, strict=True):
            picture = self.pictures[picture_id]
            letterbox = Letterbox.fit(picture.width, picture.height)
            self.average_precision.update_from(picture_id, found, letterbox)

    def metrics(self) -> Mapping[str, Metric]:
        assert self.average_precision is not None
        return {"box_ap": self.average_precision}
