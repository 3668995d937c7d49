"""Networks with random weights whose outputs depend on their inputs, and checkpoints of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.feature_head import ROI_FEATURE_SIZE, RoiFeatureHead
from peopleseg.networks.people.hierarchical import PersonMaskHead
from peopleseg.networks.people.lite_head import LiteMaskHead
from peopleseg.networks.people.mask_head import MaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import person_mask_head
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.pixels.images import prepare
from tests.data.encoded import some_images

SMALL_ROI = (16, 12)  # cells; a head costs a sixteenth of what it does at its published size


def image_files(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{index}.jpg" for index in range(count)]
    for path, image in zip(paths, some_images(count), strict=True):
        path.write_bytes(image)
    return paths


@torch.no_grad()
def telling(make: Callable[[], Any], *inputs: Tensor) -> Any:
    """In a network with initial weights what it is shown fades away; here the norms take it on.

    inputs: like those to be compared on, or the outputs grow by each layer.
    """
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
    network.train()(*inputs)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # A channel that hardly varied here would grow without bound elsewhere.
            module.running_var.clamp_(min=module.running_var.mean())  # type: ignore[union-attr]
    return network.eval()


def detector(variant: str, **dims: Any) -> YOLOv9:
    return telling(lambda: YOLOv9(variant, **dims), _images(320, 320))


def people_unet(variant: str, shrink: int = 2) -> PeopleUNet:
    return telling(lambda: PeopleUNet(variant, shrink), _images(320, 320))


def mask_head(
    variant: str,
    feature_channels: int = 0,
    reads_person_logit: bool = True,
    roi_size_hw: Sequence[int] = SMALL_ROI,
    judges_presence: bool = False,
) -> MaskHead:
    inputs: list[Any] = [_images(*roi_size_hw), None, None]
    if reads_person_logit:
        inputs[1] = 2 * torch.randn(3, 1, *roi_size_hw)
    if feature_channels:
        inputs[2] = 10 * torch.randn(3, feature_channels, 32, 24)
    dims: dict[str, Any] = {
        "feature_channels": feature_channels,
        "reads_person_logit": reads_person_logit,
        "roi_size_hw": roi_size_hw,
        "judges_presence": judges_presence,
    }
    return telling(lambda: person_mask_head(variant, **dims), *inputs)


def feature_head(in_channels: int) -> RoiFeatureHead:
    cells = torch.randn(1, in_channels, ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
    network = telling(lambda: RoiFeatureHead(in_channels), cells)
    with torch.no_grad():  # its logits reach 40 otherwise, and so does what FP32 loses
        network.classifier.weight /= 4
    return network


def checkpoint(path: Path, network: Any, **companions: Any) -> Path:
    family = {
        YOLOv9: "yolov9",
        PeopleUNet: "people_unet",
        PersonMaskHead: "hierarchical_head",
        LiteMaskHead: "hierarchical_head",
        RoiFeatureHead: "feature_head",
    }[type(network)]
    beside = {name: (module, module.dims) for name, module in companions.items()}
    metrics = {"some_miou": 0.5}
    save_network(path, family, network, dims=network.dims, metrics=metrics, companions=beside)
    return path


def _images(height: int, width: int) -> Tensor:
    """Two images and random pixels, [3, 3, height, width] in [0, 1]."""
    pixels = np.concatenate([prepare(image)[0] for image in some_images(2)])
    images = F.interpolate(torch.from_numpy(pixels).float() / 255, (height, width), mode="area")
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return torch.cat((images, noise))
