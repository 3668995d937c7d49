"""A model repository with several versions of every network, as the published variants differ.

The networks are small and random and read all that they say, each part of it with weights of its
own: a tensor that is missing, of another step or shifted by a cell changes the response.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conversion.export.exportable import Exportable
from conversion.export.onnx_export import export_onnx
from conversion.people.exportable import (
    of_detector,
    of_feature_head,
    of_mask_head,
    of_people_unet,
)
from conversion.step_version import new_step_version
from peopleseg.networks.people.feature_head import MASK_SIZE, RoiFeatureHead
from peopleseg.networks.people.hierarchical import PersonMaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.roi_align import roi_align
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.pixels.images import prepare
from peopleseg.systems.known import STEPS
from tests.data.encoded import astronaut
from tests.data.small_repository import SOURCE, first_steps, write_manifest

CHANNELS = 6  # of the features of the small detector
STRIDE = 8  # network pixels a cell of every detector's
SIDE = INPUT_SIZE // STRIDE
ANCHORS = 8400  # of YOLOv9
# cx, cy, w, h in network pixels and score: two people, one that reaches over the edge, and a
# second sight of the first.
PEOPLE = (
    (200.0, 320.0, 120.0, 260.0, 0.9),
    (430.0, 300.0, 150.0, 150.0, 0.6),
    (600.0, 480.0, 160.0, 200.0, 0.4),
    (202.0, 322.0, 120.0, 250.0, 0.3),
)
ALL = ("roi_rgb", "roi_logit", "roi_features")


class SmallDetector(nn.Module):
    """Finds PEOPLE in every image that has a pixel brighter than the letterbox's border."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CHANNELS, STRIDE, STRIDE)
        seen = torch.zeros(1, 5, ANCHORS)
        seen[0, :, : len(PEOPLE)] = torch.tensor(PEOPLE).T
        self.register_buffer("seen", seen)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        images = pixels.float() / 255
        light = (images.amax(dim=(1, 2, 3)) > 0.5).float()
        return self.conv(images).half(), self.seen * light[:, None, None]


class SmallUNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        return 5 * self.conv(pixels.float() / 255)


class SmallHead(nn.Module):
    """Reads of its three inputs those in `reads`."""

    def __init__(self, reads: Sequence[str], channels: int) -> None:
        super().__init__()
        self.reads = reads
        self.rgb = nn.Conv2d(3, 3, 3, padding=1)
        self.logit = nn.Conv2d(1, 3, 3, padding=1)
        self.features = nn.Conv2d(channels, 3, 1)

    def forward(
        self, roi_rgb: Tensor, roi_logit: Tensor, roi_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        cells = 5 * self.rgb(roi_rgb / 255)
        if "roi_logit" in self.reads:
            cells = cells + self.logit(roi_logit)
        if "roi_features" in self.reads:
            features = F.interpolate(roi_features.float(), cells.shape[2:], mode="bilinear")
            cells = cells + 3 * self.features(features)
        presence_logit = 3 + cells.mean(dim=(1, 2, 3))[:, None]
        return F.interpolate(cells, scale_factor=2.0, mode="bilinear"), presence_logit


class SmallFeatureHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 3, 3, padding=1)

    def forward(self, roi_features: Tensor) -> Tensor:
        return 5 * F.interpolate(self.conv(roi_features.float()), scale_factor=2.0, mode="bilinear")


def write_steps(repository: Path) -> None:
    """Every config, and the newest Python steps as version 1; of the networks, no version."""
    unwanted = shutil.ignore_patterns("*.onnx", ".*", "*.jsonl")
    for name in STEPS:
        shutil.copytree(SOURCE / name, repository / name, ignore=unwanted)
        for manifest in (repository / name).glob("*/manifest.json"):
            if not (manifest.parent / "model.py").exists():
                shutil.rmtree(manifest.parent)
    first_steps(repository)


def add_detector(repository: Path) -> int:
    shapes = {"features": (CHANNELS, SIDE, SIDE), "predictions": (5, ANCHORS)}
    return _add(repository, "yolov9", _seeded(SmallDetector), {}, shapes)


def add_people_unet(repository: Path) -> int:
    return _add(repository, "people_unet", _seeded(SmallUNet), {}, {})


def add_head(
    repository: Path,
    reads: Sequence[str] = ALL,
    *,
    roi_size_hw: tuple[int, int] = (64, 48),
    channels: int = CHANNELS,
) -> int:
    """A mask of twice the roi's cells."""
    height, width = roi_size_hw
    lengths = {"roi_rgb": (3, height, width), "roi_logit": (1, 1, 1), "roi_features": (1, 1, 1)}
    if "roi_logit" in reads:
        lengths["roi_logit"] = (1, height, width)
    if "roi_features" in reads:
        lengths["roi_features"] = (channels, 32, 24)
    masks = {"mask_logits": (3, 2 * height, 2 * width)}
    head = _seeded(lambda: SmallHead(reads, channels))
    return _add(repository, "hierarchical_head", head, lengths, masks, reads)


def add_feature_head(repository: Path) -> int:
    inputs, outputs = {"roi_features": (CHANNELS, 28, 28)}, {"mask_logits": (3, 56, 56)}
    return _add(repository, "feature_head", _seeded(SmallFeatureHead), inputs, outputs)


def add_step(repository: Path, name: str, **settings: object) -> int:
    return int(new_step_version(repository, name, settings).name)


def random_yolov9(variant: str) -> YOLOv9:
    return _telling(lambda: YOLOv9(variant), _photo()[:, :, ::2, ::2])


def random_people_unet() -> PeopleUNet:
    return _telling(lambda: PeopleUNet("b0"), _photo())


@torch.no_grad()
def random_mask_head(people_unet: PeopleUNet) -> PersonMaskHead:
    """As published: it reads RGB and the UNet's raw logits."""
    rois = torch.tensor([[0, 0, 0, 640, 640], [0, 200, 50, 400, 300]], dtype=torch.float32)
    maps = _photo(), people_unet(_photo())
    return _telling(lambda: PersonMaskHead("b0"), *(roi_align(m, rois, (64, 48)) for m in maps))


@torch.no_grad()
def random_feature_head() -> RoiFeatureHead:
    """As published, but for the number of channels."""
    network = _seeded(lambda: RoiFeatureHead(CHANNELS)).eval()
    network.classifier.weight *= 0.05  # logits of about 1
    return network


def add_exported(repository: Path, network: nn.Module) -> int:
    """One of the project's own networks."""
    found: Exportable = _EXPORTABLE[type(network)](network)
    outputs: dict[str, tuple[int, ...]] = {}
    if isinstance(network, YOLOv9):
        outputs["features"] = (network.feature_channels, SIDE, SIDE)
        outputs["predictions"] = (5, ANCHORS)
    if isinstance(network, PersonMaskHead):
        outputs["mask_logits"] = (3, *network.mask_size_hw)
    if isinstance(network, RoiFeatureHead):
        outputs["mask_logits"] = (3, MASK_SIZE, MASK_SIZE)
    inputs = {name: tuple(map(abs, shape)) for name, shape in found.input_shapes.items()}
    return _add(repository, found.model.name, found.module, inputs, outputs, found.reads)


_EXPORTABLE: dict[type[nn.Module], Callable[[Any], Exportable]] = {
    YOLOv9: of_detector,
    PeopleUNet: of_people_unet,
    PersonMaskHead: of_mask_head,
    RoiFeatureHead: of_feature_head,
}


def _seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return make()


def _photo() -> Tensor:
    """[1, 3, 640, 640] RGB in [0, 1]."""
    return torch.from_numpy(prepare(astronaut())[0]).float() / 255


@torch.no_grad()
def _telling(make: Callable[[], Any], *inputs: Tensor) -> Any:
    """A network whose outputs depend on its inputs, which fade away in one with initial weights."""
    network = _seeded(make)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the norms take on what they see
    network.train()(*inputs)
    return network.eval()


def _add(
    repository: Path,
    name: str,
    module: nn.Module,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
    reads: Sequence[str] = (),
) -> int:
    """The next version of a network. inputs, outputs: lengths that the contract leaves open."""
    versions = [int(path.name) for path in (repository / name).iterdir() if path.name.isdigit()]
    folder = repository / name / str(max(versions, default=0) + 1)
    folder.mkdir()
    export_onnx(module.eval(), STEPS[name], folder / "model.onnx", inputs)
    write_manifest(folder, STEPS[name], {**inputs, **outputs}, reads)
    return int(folder.name)
