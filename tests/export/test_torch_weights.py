"""A version folder's weights in torch: small, and as close as a training has to begin."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from conversion.export.exporter import export
from conversion.export.settings import Settings
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.repository.manifest import WEIGHTS, Manifest
from tests.export.networks import checkpoint, feature_head, people_unet

SETTINGS = Settings(check_pinned_runtime=False)


def exported(network: Any, folder: Path, images: list[Path], **beside: Any) -> Path:
    source = checkpoint(folder / "source.ckpt", network, **beside)
    return export(source, images, SETTINGS, repository=folder)


def test_they_are_half_as_large_and_name_the_network(tmp_path: Path, images: list[Path]) -> None:
    network = people_unet("b0", shrink=16)
    version = exported(network, tmp_path, images)
    found = load_network(version)
    assert (found.family, found.dims) == ("people_unet", network.dims)
    assert found.metrics == {"some_miou": 0.5}
    assert (version / WEIGHTS).stat().st_size < 0.55 * (tmp_path / "source.ckpt").stat().st_size
    norms = [name for name, values in network.state_dict().items() if values.ndim < 2]
    torch.testing.assert_close(
        {name: found.network.state_dict()[name] for name in norms},
        {name: network.state_dict()[name] for name in norms},
        rtol=0,
        atol=0,
    )
    compared = Manifest.read(version).parity["weights_against_torch"]["images"]["person_logit"]
    assert 0 < compared["mean"] < 0.01 * compared["magnitude"]


def beyond_half(network: PeopleUNet) -> PeopleUNet:
    """The same network, with a kernel that FP16 does not hold, which its norm makes good again."""
    conv = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        conv.weight *= 1e6
        norm.running_mean *= 1e6
        norm.running_var *= 1e12
    return network


def test_where_half_precision_loses_parity_they_stay_whole(
    tmp_path: Path, images: list[Path]
) -> None:
    network = beyond_half(people_unet("b0", shrink=16))
    version = exported(network, tmp_path, images)
    state = load_network(version).network.state_dict()
    torch.testing.assert_close(state, network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("padding", [0.0, 0.1])
def test_an_exported_version_gives_what_it_was_made_of(
    padding: float, tmp_path: Path, images: list[Path], companions: dict[str, Any]
) -> None:
    beside = {"detector": companions["detector"]}
    head = feature_head(companions["detector"].feature_channels)
    source = checkpoint(tmp_path / "head.ckpt", head, **beside)
    settings = Settings(check_pinned_runtime=False, options={"roi_padding": padding})
    version = export(source, images, settings, repository=tmp_path)
    compared = Manifest.read(version).parity["weights_against_torch"]["images"]["mask_logits"]
    assert compared["mean"] < 0.01 * compared["magnitude"]
    assert load_network(version).companions == {}
