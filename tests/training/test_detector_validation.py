"""The validation step of the detector's training."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.networks.people.yolov9 import YOLOv9Output
from training.data.detection import DetectionValidationBatch
from training.tasks.detector import PersonDetection
from training.validation.people.metrics import BoxAveragePrecision


class Finds(nn.Module):
    """One box over the whole square, with a score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: Tensor) -> YOLOv9Output:
        predictions = torch.zeros(len(images), 5, 100)
        predictions[:, :, 0] = torch.tensor([320.0, 320, 640, 640, self.score])
        return YOLOv9Output(images, predictions)


@pytest.mark.parametrize(("score", "box_ap50"), [(0.9, 1.0), (0.0, 0.0)])
def test_somebody_who_fills_the_image_has_to_be_found(score: float, box_ap50: float) -> None:
    person = Annotation((0, 0, 320, 320), [[0, 0, 320, 0, 320, 320, 0, 320]], crowd=False)
    image = AnnotatedImage(1, Path("portrait.jpg"), 320, 320, [person])
    task = PersonDetection("t", auxiliary=False)
    task.network = Finds(score)  # type: ignore[assignment]
    task.average_precision = BoxAveragePrecision([image])
    images = torch.zeros(1, 3, 640, 640, dtype=torch.uint8)
    task.validation_step(DetectionValidationBatch(images, [image.id], []), 0)
    assert float(task.average_precision.compute()["box_ap50"]) == pytest.approx(box_ap50)
