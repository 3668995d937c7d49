"""The network in torch beside its artifact, so that a later training can go on from it."""

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from conversion.export import parity
from conversion.export.families import of_network
from conversion.export.job import Job
from conversion.export.parity import Expected, Gaps
from conversion.export.runners import torch_runner
from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.repository.manifest import WEIGHTS


def write_weights(folder: Path, job: Job, expected: Sequence[Expected]) -> Gaps:
    """Write them into a version folder, in half precision where that keeps parity.

    Returns how far the network that is read back is from the job's.
    """
    network = job.source.loaded.network
    try:
        return _written(_halved(network), folder, job, expected)
    except parity.ParityError:
        return _written(network, folder, job, expected)


def _written(network: nn.Module, folder: Path, job: Job, expected: Sequence[Expected]) -> Gaps:
    loaded, path = job.source.loaded, folder / WEIGHTS
    save_network(
        path,
        loaded.family,
        network,
        dims=loaded.dims,
        metrics=loaded.metrics,
        size=loaded.size,
    )
    read = of_network(load_network(path), **job.settings.options)
    found = parity.gaps(expected, torch_runner(read.reference, read.model))
    parity.judge(found, parity.TO_TRAIN_ON, f"{job.name} in {WEIGHTS}")
    return found


def _halved(network: nn.Module) -> nn.Module:
    """With kernels and matrices in FP16. Norms and biases are few, and a variance may be less than
    FP16 holds."""
    halved = copy.deepcopy(network)
    for parameter in halved.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half()
    return halved
