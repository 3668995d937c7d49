"""A semantic network as it is exported: two small maps leave the graph, not one for every class."""

from typing import Any

import torch
from torch import Tensor, nn

from conversion.export.exportable import Exportable, Shape
from peopleseg.errors import WrongUsage
from peopleseg.networks.resizing import enlarged
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.semantic.pair import DeepLabPair
from peopleseg.systems.semantic.contract import DEEPLAB

SIZES = range(256, 641, 32)  # of the square, pixels a side
DEFAULT_SIZE = 512
STRIDE = 4  # of the logits before they are resized


class ExportableMaps(nn.Module):
    """pixels [B, 3, S, S] uint8 to class_map and confidence_map [B, S, S] uint8.

    The logits are resized; a pixel's class is that of the largest, and its confidence that class's
    probability x 255. A probability of all classes is never made: that of the likeliest is one over
    the sum of the classes' odds against it.
    """

    def __init__(self, network: DeepLab | DeepLabPair) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = enlarged(self.network.at_stride_4(pixels.float() / 255), STRIDE)
        odds = (logits - logits.amax(dim=1, keepdim=True)).exp()
        confidence = 255 / odds.sum(dim=1)
        return logits.argmax(dim=1).to(torch.uint8), confidence.round().to(torch.uint8)


def of_semantic(network: Any, size: int) -> Exportable:
    """A DeepLab or a pair of them, for squares of `size`. Raises WrongUsage for another size."""
    if size not in SIZES:
        raise WrongUsage(
            f"a square of {size} pixels a side is not exported; give --size, a multiple of "
            f"{SIZES.step} from {SIZES[0]} to {SIZES[-1]}"
        )
    module = ExportableMaps(network).eval()
    shapes: dict[str, Shape] = {"pixels": (3, size, size)}
    return Exportable(DEEPLAB, module, module, shapes, network.dims, {"size": size})
