"""The validation's metrics of class maps, in the square; `peopleseg validate` goes by the image.

As peopleseg.systems.semantic.evaluation.metrics defines them.
"""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from peopleseg.labels.label_maps import UNKNOWN

MIOU = "miou_present"


class ClassMapMetrics(MulticlassConfusionMatrix):
    """miou_present and pixel_accuracy of all pixels whose class is known.

    update: logits [B, classes, S, S] and labels [B, S, S].
    """

    def __init__(self, classes: int) -> None:
        super().__init__(num_classes=classes, ignore_index=UNKNOWN, validate_args=False)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        super().update(logits.argmax(dim=1), labels.long())

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        pixels = super().compute().double()  # rows are true
        both, true, found = pixels.diag(), pixels.sum(dim=1), pixels.sum(dim=0)
        ious = both / (true + found - both).clamp(min=1)
        nothing = torch.tensor(float("nan"))
        return {
            MIOU: ious[true > 0].mean() if (true > 0).any() else nothing,
            "pixel_accuracy": both.sum() / true.sum() if true.sum() > 0 else nothing,
        }
