"""People's networks as they are exported."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from conversion.export.exportable import Exportable, Shape
from peopleseg.networks.checkpoint import CheckpointError
from peopleseg.networks.people.feature_head import ROI_FEATURE_SIZE, ROI_PADDING, RoiFeatureHead
from peopleseg.networks.people.mask_head import HeadOutput, MaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_segmenter import PersonSegmenter
from peopleseg.networks.people.roi_align import align_map
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.contract import ROI_FEATURE_SIZE_HW
from peopleseg.systems.people.roi_align import widened

CERTAIN = 20.0  # a logit: the logarithm of its probability is 0 in FP32

_PIXELS = {"pixels": STEPS["yolov9"].inputs[0].shape}  # what image networks read


class ExportableOnImages(nn.Module):
    """pixels [B, 3, 640, 640] uint8 to a detector's features (FP16) and predictions, or to a people
    UNet's person_logit."""

    def __init__(self, network: YOLOv9 | PeopleUNet) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        output = self.network(pixels.float() / 255)
        if isinstance(output, Tensor):
            return output
        return output.features.half(), output.predictions


class ExportableHead(nn.Module):
    """roi_rgb (0 to 255), roi_logit and roi_features (FP16) to mask_logits and presence_logit.

    An input that the head does not read is taken and not used. A head that does not judge presence
    says CERTAIN of every roi.
    """

    def __init__(self, network: MaskHead) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(
        self, roi_rgb: Tensor, roi_logit: Tensor, roi_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        head = self.network
        output: HeadOutput = head(
            roi_rgb / 255,
            roi_logit if head.reads_person_logit else None,
            roi_features.float() if head.feature_channels else None,
        )
        if output.presence_logit is not None:
            return output.mask_logits, output.presence_logit
        return output.mask_logits, torch.full_like(roi_rgb[:, 0, 0, :1], CERTAIN)

    def roi_inputs(
        self, images: Tensor, rois: Tensor, companions: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The inputs that it reads of rois [N, 5]; images [B, 3, 640, 640] RGB in [0, 1]."""
        segmenter = PersonSegmenter(self.network, **companions)
        rgb, logit, features = segmenter.head_inputs(images, rois)
        tensors = {"roi_rgb": rgb * 255}
        if logit is not None:
            tensors["roi_logit"] = logit
        if features is not None:
            tensors["roi_features"] = features.half()
        return tensors


class ExportableFeatureHead(nn.Module):
    """roi_features (FP16) of a box widened by `padding` of its side at each edge to mask_logits.

    The network's masks lie over the widened box; they are cut back to the box and sampled again,
    bilinearly, at as many cells. Both are linear along each axis: one small matrix.
    """

    cut: Tensor

    def __init__(self, network: RoiFeatureHead, padding: float = ROI_PADDING) -> None:
        super().__init__()
        self.network = network.eval()
        self.register_buffer("cut", middle_samples(2 * ROI_FEATURE_SIZE, padding))
        self.padding = padding

    def forward(self, roi_features: Tensor) -> Tensor:
        logits = self.network(roi_features.float())
        return logits if self.padding == 0 else self.cut @ logits @ self.cut.T

    def roi_inputs(
        self, images: Tensor, rois: Tensor, companions: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """As of `ExportableHead`; the rois are the boxes, widened here."""
        features = companions["detector"].features(images)
        boxes = torch.from_numpy(widened(rois.numpy(), self.padding))
        size_hw = (ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
        return {"roi_features": align_map(features, images, boxes, size_hw).half()}


def middle_samples(cells: int, padding: float) -> Tensor:
    """[cells, cells]: sample the middle 1 / (1 + 2 * padding) of an axis at as many cells."""
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    positions = (centres + padding) / (1 + 2 * padding) * cells - 0.5
    distance = (positions[:, None] - torch.arange(cells, dtype=torch.float64)).abs()
    weights = (1 - distance).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def of_detector(network: Any) -> Exportable:
    """A YOLOv9. Raises CheckpointError unless it finds people alone."""
    if network.classes != 1:
        raise CheckpointError(
            f"the detector has {network.classes} classes, served is one that finds people alone; "
            "`peopleseg import-weights yolov9 FILE --keep-class 0` makes one of a published one"
        )
    deploy = network.without_auxiliary()
    fused = ExportableOnImages(copy.deepcopy(deploy).eval().fuse()).eval()
    reference = ExportableOnImages(deploy).eval()
    return Exportable(STEPS["yolov9"], fused, reference, _PIXELS, network.dims)


def of_people_unet(network: Any) -> Exportable:
    """A people UNet."""
    module = ExportableOnImages(network).eval()
    return Exportable(STEPS["people_unet"], module, module, _PIXELS, network.dims)


def of_mask_head(network: Any) -> Exportable:
    """A hierarchical head."""
    module = ExportableHead(network).eval()
    shapes: dict[str, Shape] = {
        "roi_rgb": (3, *network.roi_size_hw),
        "roi_logit": (1, -1, -1),
        "roi_features": (-1, -1, -1),
    }
    if network.reads_person_logit:
        shapes["roi_logit"] = (1, *network.roi_size_hw)
    if network.feature_channels:
        shapes["roi_features"] = (network.feature_channels, *ROI_FEATURE_SIZE_HW)
    return Exportable(STEPS["hierarchical_head"], module, module, shapes, network.dims)


def of_feature_head(network: Any, padding: float = ROI_PADDING) -> Exportable:
    """A head on detector features."""
    module = ExportableFeatureHead(network, padding).eval()
    shapes: dict[str, Shape] = {
        "roi_features": (network.in_channels, ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
    }
    settings = {"roi_padding": padding}
    return Exportable(STEPS["feature_head"], module, module, shapes, network.dims, settings)
