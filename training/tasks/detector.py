"""Train the person detector (YOLOv9)."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import CheckpointError
from peopleseg.networks.people.yolov9 import YOLOv9, YOLOv9Output
from peopleseg.networks.people.yolov9_blocks import SPPELAN, Detect
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from training.data.detection import DetectionValidationBatch
from training.data.samples import DetectionBatch
from training.losses.detection import DetectionLosses, detection_losses, dual_losses
from training.losses.imitation import Imitation, attention_difference, imitation_losses
from training.tasks.base import Task
from training.teachers.teacher import DensePredictions, Kind, open_teacher
from training.teachers.unlabelled import filled_in
from training.validation.people.metrics import BoxAveragePrecision


class BoxTask(Task):
    """A network that finds the boxes of people."""

    monitor = "box_ap50"
    average_precision: BoxAveragePrecision

    def setup(self, stage: str) -> None:
        self.average_precision = BoxAveragePrecision(self.data().val_images)

    def metrics(self) -> Mapping[str, Metric]:
        return {"box_ap": self.average_precision}


class PersonDetection(BoxTask):
    """YOLOv9 for people, with or without its auxiliary branch (arXiv:2402.13616).

    canvas: pixels a side that it works on when it is validated and served; train on canvases of
    that size. start_from: a checkpoint of the same variant whose weights to begin with. teacher:
    the ONNX file of a published detector to learn from beside the labels, of teacher_kind. On
    canvases of a NanoDet's own size it is imitated anchor by anchor (arXiv:2106.05237: the same
    image for both, for long); on others, and of a MoveNet, the people found where labels are
    missing are labels. teacher_levels: names of its neck's tensors at strides 8, 16 and 32, for
    `imitation.levels`.
    """

    family = "yolov9"
    only_in_training = ("auxiliary.",)
    network: YOLOv9

    def __init__(
        self,
        variant: Literal["t", "s", "m", "c", "e"] = "t",
        auxiliary: bool = True,
        canvas: int = INPUT_SIZE,
        start_from: Path | None = None,
        teacher: Path | None = None,
        teacher_kind: Kind = "nanodet",
        teacher_levels: Sequence[str] = (),
        imitation: Imitation = Imitation(),  # noqa: B008  (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = YOLOv9(variant, auxiliary=auxiliary, canvas=canvas)
        self.start_from(start_from)
        if bool(teacher_levels) != (imitation.levels > 0):
            raise CheckpointError(
                "a teacher's levels need --model.teacher_levels and --model.imitation.levels, both"
            )
        self.imitation = imitation
        self.teacher = (
            None if teacher is None else open_teacher(teacher, teacher_kind, teacher_levels)
        )

    def backbone_stages(self) -> Sequence[nn.Module]:
        """The layers before the feature pyramid."""
        return tuple(
            itertools.takewhile(lambda layer: not isinstance(layer, SPPELAN), self.network.layers)
        )

    def loss_terms(self, batch: DetectionBatch) -> dict[str, Tensor]:
        images = batch.images.float() / 255
        output = self.network(images)
        boxes: Sequence[Tensor] = batch.boxes_xyxy
        teacher = self.teacher
        if teacher is not None and teacher.dense_size == images.shape[2]:
            labels = self._label_losses(output, boxes, batch.ignored_xyxy).total
            return self._imitation_terms(output, teacher.dense(images), labels)
        if teacher is not None:
            boxes = filled_in(boxes, batch.ignored_xyxy, teacher.people(images))
        losses = self._label_losses(output, boxes, batch.ignored_xyxy)
        return {**losses._asdict(), "loss": losses.total}

    def _label_losses(
        self, output: YOLOv9Output, boxes: Sequence[Tensor], ignored: Sequence[Tensor]
    ) -> DetectionLosses:
        main = detection_losses(self.network.detect, list(output.predictions), boxes, ignored)
        if output.auxiliary is None:
            return main
        detect = self.network.auxiliary[-1]
        assert isinstance(detect, Detect)
        return dual_losses(main, detection_losses(detect, output.auxiliary, boxes, ignored))

    def _imitation_terms(
        self, output: YOLOv9Output, predictions: DensePredictions, labels: Tensor
    ) -> dict[str, Tensor]:
        weights = self.imitation
        own = imitation_losses(self.network.detect, list(output.predictions), predictions)
        terms = {
            "labels": weights.labels * labels,
            "scores": weights.scores * own.scores,
            "boxes": weights.boxes * own.boxes,
            "bins": weights.bins * own.bins,
        }
        if predictions.levels:
            terms["levels"] = weights.levels * attention_difference(
                output.levels, predictions.levels
            )
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def validation_step(self, batch: DetectionValidationBatch, batch_idx: int) -> None:
        if not len(batch.images):
            return
        predictions = self.network(batch.images.float() / 255).predictions
        for image_id, found in zip(batch.image_ids, predictions, strict=True):
            image = self.average_precision.images[image_id]
            letterbox = Letterbox.fit(image.width, image.height)
            self.average_precision.update_from(image_id, found, letterbox)
