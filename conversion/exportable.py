"""The networks as they are exported: scaling inside, the tensors of the contract outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from peopleseg.contract import STEPS, Model
from peopleseg.networks.hierarchical import PersonMaskHead
from peopleseg.networks.people_unet import PeopleUNet
from peopleseg.networks.yolov9 import YOLOv9


class ExportableYOLOv9(nn.Module):
    """pixels [B, 3, 640, 640] uint8 to features (FP16) and predictions."""

    def __init__(self, network: YOLOv9) -> None:
        super().__init__()
        self.network = network.eval().fuse()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features, predictions = self.network(pixels.float() / 255)
        return features.half(), predictions


class ExportablePeopleUNet(nn.Module):
    """pixels [B, 3, 640, 640] uint8 to person_logit."""

    def __init__(self, network: PeopleUNet) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(pixels.float() / 255)  # type: ignore[no-any-return]


class ExportableHead(nn.Module):
    """roi_rgb (0 to 255), roi_logit and roi_features (FP16) to mask_logits."""

    def __init__(self, network: PersonMaskHead) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, roi_rgb: Tensor, roi_logit: Tensor, roi_features: Tensor) -> Tensor:
        output = self.network(roi_rgb / 255, roi_logit, roi_features.float())
        return output.mask_logits  # type: ignore[no-any-return]


_FAMILIES: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "yolov9": (YOLOv9, ExportableYOLOv9),
    "people_unet": (PeopleUNet, ExportablePeopleUNet),
    "hierarchical_head": (PersonMaskHead, ExportableHead),
}


@dataclass(frozen=True)
class Exportable:
    """A checkpoint ready for export as one model of the repository."""

    model: Model
    module: nn.Module
    dims: dict[str, Any]
    report: dict[str, float]  # what training measured last


def load_exportable(name: str, checkpoint: Path) -> Exportable:
    """The network of a checkpoint, as the model `name`. Raises ValueError for an unknown model."""
    if name not in _FAMILIES:
        raise ValueError(f"model {name!r} is not one of {', '.join(_FAMILIES)}")
    build, wrap = _FAMILIES[name]
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    network = build(**state["dims"])
    network.load_state_dict(state["model"])
    return Exportable(STEPS[name], wrap(network).eval(), state["dims"], state["report"])
