"""Two DeepLabV3+ as one network: the mean of their probabilities."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from peopleseg.networks.resizing import resized
from peopleseg.networks.semantic.deeplab import DeepLab


class DeepLabPair(nn.Module):
    """RGB in [0, 1], [B, 3, H, W], to logarithms of probabilities [B, classes, H, W].

    networks: the arguments that build each; both tell the same classes apart. The mean is taken at
    stride 4, where the networks' own logits are, and its logarithm is resized as theirs would be.
    """

    def __init__(self, networks: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.networks = nn.ModuleList([DeepLab(**dims) for dims in networks])
        classes = {network.classes for network in self.members}
        if len(self.members) < 2 or len(classes) > 1:
            raise ValueError(
                f"the networks tell apart {' and '.join(map(str, classes)) or 'nothing'}; expected "
                "two networks or more, of the same classes in the same order"
            )
        (self.classes,) = classes

    @property
    def members(self) -> list[DeepLab]:
        return list(self.networks)  # type: ignore[arg-type]

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build it."""
        return {"networks": [network.dims for network in self.members]}

    def forward(self, images: Tensor) -> Tensor:
        return resized(self.at_stride_4(images), images.shape[2:])

    def at_stride_4(self, images: Tensor) -> Tensor:
        """[B, classes, H / 4, W / 4]."""
        each = [network.at_stride_4(images).log_softmax(dim=1) for network in self.members]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(each))
