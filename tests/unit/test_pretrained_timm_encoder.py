"""ImageNet weights for the UNet's encoder, and a clear word when there are none."""

import socket
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from peopleseg.networks.people_unet import people_unet
from training.pretrained.state_dict import KeysDoNotFit
from training.pretrained.timm_encoder import WeightsUnavailable, load_imagenet_encoder

# As segmentation_models_pytorch 0.6 names them.
REPOSITORY = "smp-hub/timm-efficientnet-b0.imagenet"
REVISION = "8419e9cc19da0b68dcd7bb12f19b7c92407ad7c4"


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
