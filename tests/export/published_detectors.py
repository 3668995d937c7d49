"""Small ONNX files as published detectors are laid out, with random weights that tell."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 128  # pixels a side of the input
CHANNELS = 16  # of the neck
CLASSES = 80


class SmallNeck(nn.Module):
    """Maps at strides 8, 16 and 32 of an image: down, up and down again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 8, 8)
        self.down = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1) for _ in range(2))
        self.again = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1) for _ in range(2))

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = F.leaky_relu(self.stem(images))
        fine = F.max_pool2d(F.pad(fine, (1, 1, 1, 1), value=-torch.inf), 3, 1)
        middle = F.leaky_relu(self.down[0](fine))
        coarse = F.leaky_relu(self.down[1](middle))
        middle = middle + F.interpolate(coarse, middle.shape[2:], mode="nearest")
        fine = fine + F.interpolate(middle, fine.shape[2:], mode="nearest")
        middle = middle + self.again[0](fine)
        return [fine, middle, coarse + self.again[1](middle)]


class SmallDetector(nn.Module):
    """Of every cell `width` numbers, their order as the layouts below want it."""

    def __init__(self, width: int, divisor: float) -> None:
        super().__init__()
        self.neck = SmallNeck()
        self.head = nn.ModuleList(nn.Conv2d(CHANNELS, width, 1) for _ in range(3))
        self.divisor = divisor  # brings the pixels of this kind to about 1

    def cells(self, images: Tensor) -> list[Tensor]:
        """[B, n, width] of each stride."""
        maps = self.neck(images / self.divisor)
        heads = (head(one) for head, one in zip(self.head, maps, strict=True))
        return [made.flatten(2).transpose(1, 2) for made in heads]


class SmallYOLOv8(SmallDetector):
    def __init__(self) -> None:
        super().__init__(4 + CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        cells = torch.cat(self.cells(images), dim=1).transpose(1, 2)
        return torch.cat((SIZE * cells[:, :4].sigmoid(), cells[:, 4:].sigmoid()), dim=1)


class SmallYOLOX(SmallDetector):
    def __init__(self) -> None:
        super().__init__(5 + CLASSES, 255)

    def forward(self, images: Tensor) -> Tensor:
        cells = torch.cat(self.cells(images), dim=1)
        return torch.cat((cells[..., :4], cells[..., 4:].sigmoid()), dim=2)


class SmallNanoDet(SmallDetector):
    def __init__(self, *, joint: bool, bins: int = 11) -> None:
        super().__init__(CLASSES + 4 * bins, 2)
        self.joint = joint

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        cells = [
            torch.cat((c[..., :CLASSES].sigmoid(), c[..., CLASSES:]), 2) for c in self.cells(images)
        ]
        if self.joint:
            return torch.cat(cells, dim=1)
        return *(c[..., :CLASSES] for c in cells), *(c[..., CLASSES:] for c in cells)


class WithAttention(nn.Module):
    """A detector behind an attention between the columns of its image, whose exporter wrote one
    image's lengths into the graph."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        heads = images.reshape(1, 3, SIZE, SIZE).reshape(3, SIZE, SIZE)
        weights = (heads @ heads.transpose(1, 2) / SIZE).softmax(dim=2)
        return self.detector((weights @ heads).reshape(1, 3, SIZE, SIZE))  # type: ignore[no-any-return]


class WithOneImageOnly(nn.Module):
    """A detector whose graph joins a constant to the image."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        self.border = nn.Parameter(torch.zeros(1, 3, 8, SIZE))

    def forward(self, images: Tensor) -> Tensor:
        return self.detector(torch.cat((images[:, :, 8:], self.border), dim=2))  # type: ignore[no-any-return]


def write_file(path: Path, module: nn.Module, *, batch: int | None = 1) -> Path:
    """batch: None for an open one."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in conversion.export.onnx_export
        torch.onnx.export(
            module.eval(),
            (torch.zeros(batch or 2, 3, SIZE, SIZE),),
            str(path),
            input_names=["images"],
            dynamic_axes={} if batch else {"images": {0: "batch"}},
            opset_version=13,
            dynamo=False,
        )
    return path
