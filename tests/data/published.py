"""Files as other projects publish them, made of small or cheap weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def randomise(module: nn.Module) -> None:
    """BatchNorm statistics with nothing left at 0 or 1, so that a swap or a wrong fold shows."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None and layer.running_var is not None
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 2)
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.2)


def numbered(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The state dict of a network, every entry filled with a number of its own, from 1 on.

    Each takes the memory and the disk of one number, whatever its size.
    """
    with torch.device("meta"):
        state = make().state_dict()
    return {
        key: torch.tensor(index, dtype=value.dtype).expand(value.shape)
        for index, (key, value) in enumerate(state.items(), start=1)
    }


def assert_numbered(network: nn.Module, expected: Mapping[str, Tensor]) -> None:
    """Every entry of the network has the numbers of `expected`, and there are no others."""
    state = network.state_dict()
    assert state.keys() == expected.keys()
    wrong = [key for key, value in state.items() if not torch.equal(value, expected[key])]
    assert wrong == []


def written(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path
