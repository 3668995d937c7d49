"""The networks as they are exported: scaling inside, the tensors of the contract outside."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conversion.export.onnx_export import export_onnx
from peopleseg.networks.checkpoint import CheckpointError, Loaded
from peopleseg.networks.people.feature_head import ROI_FEATURE_SIZE, ROI_PADDING, RoiFeatureHead
from peopleseg.networks.people.mask_head import HeadOutput, MaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_segmenter import PersonSegmenter
from peopleseg.networks.people.roi_align import align_map
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.repository.tensors import Model
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.contract import ROI_FEATURE_SIZE_HW
from peopleseg.systems.people.roi_align import widened

Shape = tuple[int, ...]  # without the batch axis; -1 where any length goes

CERTAIN = 20.0  # a logit: the logarithm of its probability is 0 in FP32

_PIXELS = {"pixels": STEPS["yolov9"].inputs[0].shape}  # what image networks read

NUMPY_DTYPES: dict[str, Any] = {"UINT8": np.uint8, "FP16": np.float16, "FP32": np.float32}


@dataclass(frozen=True)
class Exportable:
    """A network ready for export as one model of the repository."""

    model: Model
    module: nn.Module  # what is exported: arguments and results are the tensors of `model`
    reference: nn.Module  # what it is compared with: the same, as it was trained
    input_shapes: dict[str, Shape]  # of what it does not read, of any length
    dims: dict[str, Any]  # the arguments that build the network
    settings: dict[str, Any] = field(default_factory=dict)  # of the export, beside the dims
    reference_name: str = "torch"  # where `reference` computes

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs that it computes with."""
        return tuple(name for name, shape in self.input_shapes.items() if -1 not in shape)

    def trace(self, path: Path) -> None:
        """Write the graph in FP32. Raises ExportError."""
        export_onnx(self.module, self.model, path, self.input_shapes)


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


def of_network(loaded: Loaded, *, roi_padding: float | None = None) -> Exportable:
    """The network of a checkpoint as it is exported.

    roi_padding: of the boxes that a head on detector features was trained on; None for the
    published one. Raises CheckpointError for a network that no model of the repository can be.
    """
    if loaded.family == "feature_head":
        padding = ROI_PADDING if roi_padding is None else roi_padding
        return of_feature_head(loaded.network, padding)
    if roi_padding is not None:
        raise CheckpointError(f"a {loaded.family} reads boxes as they are; leave out --roi-padding")
    plain = {"yolov9": of_detector, "people_unet": of_people_unet}
    return plain.get(loaded.family, of_mask_head)(loaded.network)


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
