"""Checkpoints as safetensors, and version folders in the place of checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from peopleseg.networks.checkpoint import CheckpointError, load_network, save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import person_mask_head
from peopleseg.repository.manifest import WEIGHTS, Manifest, sha256
from tests.data.published import randomise
from tests.data.small_repository import write_detector


def save(path: Path) -> PeopleUNet:
    torch.manual_seed(0)
    network = PeopleUNet("lite", shrink=4)
    randomise(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as a training on a GPU leaves it
    save_network(path, "people_unet", network, dims=network.dims, metrics={"people_seg_miou": 0.5})
    return network.eval()


def test_a_network_is_read_back_as_from_a_checkpoint(tmp_path: Path) -> None:
    written = save(tmp_path / WEIGHTS).state_dict()
    found = load_network(tmp_path / WEIGHTS)
    assert (found.family, found.dims) == ("people_unet", {"variant": "lite", "shrink": 4})
    assert found.metrics == {"people_seg_miou": 0.5} and found.epoch is None
    torch.testing.assert_close(found.network.state_dict(), written, rtol=0, atol=0)


def test_a_head_comes_with_its_companions(tmp_path: Path) -> None:
    head, unet = person_mask_head("lite", reads_person_logit=True), PeopleUNet("lite")
    beside = {"people_unet": (unet, unet.dims)}
    path = tmp_path / WEIGHTS
    save_network(path, "hierarchical_head", head, dims=head.dims, companions=beside)
    found = load_network(path)
    assert found.dims == head.dims
    torch.testing.assert_close(found.companions["people_unet"].state_dict(), unet.state_dict())


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name / WEIGHTS)
    assert sha256(tmp_path / "a" / WEIGHTS) == sha256(tmp_path / "b" / WEIGHTS)


def test_a_version_folder_stands_for_its_weights(tmp_path: Path) -> None:
    version = write_detector(tmp_path, 1)
    save(version / WEIGHTS)
    replace(Manifest.read(version), weights_sha256=sha256(version / WEIGHTS)).write(version)
    assert load_network(version).family == "people_unet"
    (version / WEIGHTS).write_bytes(b"other")
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} has sha256"):
        load_network(version)


def test_a_version_without_weights_is_named(tmp_path: Path) -> None:
    version = write_detector(tmp_path, 1)
    with pytest.raises(CheckpointError, match=f"yolov9/1 has no {WEIGHTS}: it is an imported"):
        load_network(version)
    with pytest.raises(CheckpointError, match="is not a manifest"):
        load_network(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!doctype html>", "is HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x00" * 100, "is not a (file of weights|checkpoint of peopleseg)"),
    ],
)
@pytest.mark.parametrize("name", [WEIGHTS, "best.ckpt"])
def test_another_file_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} {said}"):
        load_network(path)


def test_weights_of_no_network_and_no_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS
    with pytest.raises(CheckpointError, match="cannot be read .No such file"):
        load_network(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="does not say which network"):
        load_network(path)
