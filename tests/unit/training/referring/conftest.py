"""A pose network and a text encoder with random weights, for the tests of choosing."""

from pathlib import Path

import pytest
import torch

from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.referring.pose import PersonPose
from tests.data.small_minilm import write_minilm


@pytest.fixture(scope="session")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, for crops of 64 x 32 pixels."""
    torch.manual_seed(0)
    network = PersonPose("lite0", (64, 32), width=8)
    path = tmp_path_factory.mktemp("pose") / "pose.ckpt"
    save_network(path, "person_pose", network, dims=network.dims)
    return path


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a text encoder."""
    return write_minilm(tmp_path_factory.mktemp("minilm"))
