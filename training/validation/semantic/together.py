"""Several networks of the same classes as one: the mean of their probabilities."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from peopleseg.networks.checkpoint import Loaded
from training.validation.part import Unmeasurable


class Together(nn.Module):
    """Class logits as each of the networks gives, whose softmax is the mean of theirs."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        logs = torch.stack([one(images).log_softmax(dim=1) for one in self.networks])
        return logs.logsumexp(dim=0) - torch.tensor(len(self.networks)).log()


def together(several: Sequence[Loaded]) -> Loaded:
    """Networks as one of the first one's family. Raises Unmeasurable where they do not fit."""
    if len(several) < 2:
        raise Unmeasurable(
            f"{len(several)} of the checkpoints could be measured; --together takes two or more"
        )
    first, *others = several
    for other in others:
        if other.dims["classes"] != first.dims["classes"]:
            raise Unmeasurable(
                f"one tells {', '.join(first.dims['classes'])} apart, another "
                f"{', '.join(other.dims['classes'])}; name checkpoints of the same classes"
            )
    names = tuple(sorted({name for one in several for name in one.trained_on}))
    network = Together([one.network for one in several]).eval()
    return Loaded(first.family, {"classes": first.dims["classes"]}, network, {}, trained_on=names)
