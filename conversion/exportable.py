"""The networks as they are exported: scaling inside, the tensors of the contract outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from peopleseg.contract import STEPS, Model
from peopleseg.networks.hierarchical import PersonMaskHead
from peopleseg.networks.people_unet import PeopleUNet
from peopleseg.networks.yolov9 import YOLOv9
from training.checkpoint import CheckpointError, load_network


class ExportableYOLOv9(nn.Module):
    """pixels [B, 3, 640, 640] uint8 to features (FP16) and predictions."""

    def __init__(self, network: YOLOv9) -> None:
        super().__init__()
        self.network = network.eval().fuse()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        output = self.network(pixels.float() / 255)
        return output.features.half(), output.predictions


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


_WRAPPERS: dict[str, type[nn.Module]] = {
    "yolov9": ExportableYOLOv9,
    "people_unet": ExportablePeopleUNet,
    "hierarchical_head": ExportableHead,
}


@dataclass(frozen=True)
class Exportable:
    """A checkpoint ready for export as one model of the repository."""

    model: Model
    module: nn.Module
    dims: dict[str, Any]
    accuracy: dict[str, float]  # what training measured last


def load_exportable(name: str, checkpoint: Path) -> Exportable:
    """The network of a checkpoint, as the model `name`.

    Raises ValueError for an unknown model, CheckpointError for a file that does not hold that one.
    """
    if name not in _WRAPPERS:
        raise ValueError(f"model {name!r} is not one of {', '.join(_WRAPPERS)}")
    loaded = load_network(checkpoint)
    if loaded.family != name:
        raise CheckpointError(f"{checkpoint} holds a {loaded.family}, not a {name}")
    module = _WRAPPERS[name](loaded.network).eval()
    return Exportable(STEPS[name], module, loaded.dims, loaded.metrics)
