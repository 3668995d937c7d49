"""Small ONNX detectors of published layouts, with random weights."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
CLASSES, BINS = 3, 11


class SmallNanoDet(nn.Module):
    """Scores [B, n, classes] and distances [B, n, 4 BINS] of every stride."""

    def __init__(self, classes: int = CLASSES, width: int = 8) -> None:
        super().__init__()
        self.classes = classes
        self.neck = nn.ModuleList(nn.Conv2d(3, width, s, stride=s) for s in STRIDES)
        self.heads = nn.ModuleList(nn.Conv2d(width, classes + 4 * BINS, 1) for _ in STRIDES)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = [head(neck(images)) for head, neck in zip(self.heads, self.neck, strict=True)]
        rows = [m.flatten(2).transpose(1, 2) for m in maps]
        scores = [row[..., : self.classes].sigmoid() for row in rows]
        return (*scores, *(row[..., self.classes :] for row in rows))


def write_nanodet(
    path: Path,
    size: int = 64,
    *,
    batch_open: bool = False,
    classes: int = CLASSES,
    blind: bool = False,
) -> Path:
    """A NanoDet of `size` pixels, which finds things anywhere, or nothing where it is blind.

    Its neck's tensors are named neck8, neck16 and neck32.
    """
    torch.manual_seed(0)
    network = SmallNanoDet(classes).eval()
    for head in network.heads:
        nn.init.normal_(head.weight, std=1.0)  # type: ignore[arg-type]
        if blind:
            nn.init.constant_(head.bias, -50.0)  # type: ignore[arg-type]
    names = [f"{kind}{stride}" for kind in ("scores", "distances") for stride in STRIDES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which is the product's too
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, size, size),),
            str(path),
            input_names=["images"],
            output_names=names,
            dynamic_axes={n: {0: "batch"} for n in ("images", *names)} if batch_open else None,
            opset_version=17,
            dynamo=False,
        )
    return path
