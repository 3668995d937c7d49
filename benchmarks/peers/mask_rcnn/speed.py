"""torchvision's Mask R-CNN R50-FPN as a peer: for its speed alone, with random weights.

Run by PyTorch, and exported to ONNX by ONNX Runtime. Random weights find what they find; so that
the work is that of a trained network, the boxes are the anchors (1,000 proposals are left of them,
as usual), and masks are made of as many boxes as the image has people.
"""

import os
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.peers.mask_rcnn.network import CLASSES, Features, MaskRCNNNetwork
from benchmarks.speed.devices import open_model
from benchmarks.speed.targets import PeopleRequest
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox, clip_boxes
from peopleseg.pixels.images import prepare
from peopleseg.pixels.masks import encode_rle, paste_mask
from peopleseg.systems.people.contract import MAX_PEOPLE

OPSET = 17
OUTPUTS = ("boxes_xyxy", "mask_probabilities")


class Response(NamedTuple):
    boxes_xyxy: NDArray[np.float32]  # (n, 4) image pixels
    rles: list[dict[str, Any]]


class MaskRCNN(nn.Module):
    """A square image [3, S, S] in [0, 1] and n people: boxes [n, 4] and masks [n, 28, 28]."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        # As published: with batch norm, unlike the one that is trained here from scratch.
        from torchvision.models.detection import maskrcnn_resnet50_fpn

        torch.manual_seed(0)
        self.network = MaskRCNNNetwork(INPUT_SIZE)
        self.network.model = maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=CLASSES,
            min_size=INPUT_SIZE,
            max_size=INPUT_SIZE,
            box_score_thresh=0.0,
            box_detections_per_img=MAX_PEOPLE,
        )
        nn.init.zeros_(self.network.model.rpn.head.bbox_pred.weight)
        nn.init.zeros_(self.network.model.roi_heads.box_predictor.bbox_pred.weight)
        transform = self.network.model.transform
        self.register_buffer("mean", torch.tensor(transform.image_mean)[:, None, None])
        self.register_buffer("std", torch.tensor(transform.image_std)[:, None, None])
        self.eval()

    def forward(self, image: Tensor, people: Tensor) -> tuple[Tensor, Tensor]:
        from torchvision.models.detection.image_list import ImageList

        # The transform of torchvision, without its resizing: a square stays as it is.
        normalised = (image[None] - self.mean) / self.std
        listed = ImageList(normalised, [(image.shape[1], image.shape[2])])
        features = Features(listed, self.network.model.backbone(normalised))
        boxes = self.network.detect(features)[0].boxes_xyxy[:people]
        return boxes, self.network.mask_probabilities(features, [boxes])


class InTorch:
    """Answers by PyTorch."""

    def __init__(self, module: MaskRCNN, *, threads: int, device: str) -> None:
        torch.set_num_threads(threads)
        self._module = module.to(device)
        self._device = device

    def __call__(self, request: PeopleRequest) -> Response:
        image, letterbox = square_of(request)
        with torch.inference_mode():
            on_device = torch.from_numpy(image).to(self._device)
            found = self._module(on_device, torch.tensor(request.people))
        boxes, masks = (values.cpu().numpy() for values in found)
        return response_of(boxes, masks, letterbox)


class InOnnxRuntime:
    """Answers by ONNX Runtime."""

    def __init__(self, path: Path, *, threads: int, device: str) -> None:
        self._model = open_model(path, threads=threads, device=device)

    def __call__(self, request: PeopleRequest) -> Response:
        image, letterbox = square_of(request)
        found = self._model(image=image, people=np.array(request.people))
        boxes, masks = (found[name] for name in OUTPUTS)
        return response_of(boxes, masks, letterbox)


def export(module: MaskRCNN, path: Path) -> None:
    """Write the ONNX graph, whole or not at all."""
    boxes = import_module("torchvision.ops.boxes")
    # torchvision has TorchScript compile this function, which cannot read operators in Python.
    compiled = boxes._batched_nms_coordinate_trick
    example = torch.rand(3, INPUT_SIZE, INPUT_SIZE), torch.tensor(2)
    part = path.with_suffix(".partial")
    vars(boxes)["_batched_nms_coordinate_trick"] = vars(compiled)["__original_fn"]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer's, of lengths that it takes for constant
            torch.onnx.export(
                module,
                example,
                str(part),
                input_names=["image", "people"],
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "people"} for name in OUTPUTS},
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        vars(boxes)["_batched_nms_coordinate_trick"] = compiled
    os.replace(part, path)


def operators() -> str:
    """Whose non-maximum suppression and RoIAlign PyTorch uses here."""
    from torchvision import extension

    return "torchvision's" if extension._has_ops() else "this repository's, in torch"


def square_of(request: PeopleRequest) -> tuple[NDArray[np.float32], Letterbox]:
    """(3, 640, 640) RGB in [0, 1]."""
    pixels, letterbox = prepare(request.image)
    return pixels[0].astype(np.float32) / 255, letterbox


def response_of(
    boxes_xyxy: NDArray[np.float32], masks: NDArray[np.float32], letterbox: Letterbox
) -> Response:
    """Boxes and masks in the image, as our own pipeline gives them."""
    size_hw = (letterbox.height, letterbox.width)
    boxes = clip_boxes(letterbox.boxes_to_image(boxes_xyxy), letterbox.width, letterbox.height)
    grids = (masks * 255).astype(np.uint8)
    rles = [
        encode_rle(paste_mask(mask, box, size_hw)) for mask, box in zip(grids, boxes, strict=True)
    ]
    return Response(boxes, rles)
