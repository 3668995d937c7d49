"""People UNets as they are published: three wrappings, two prefixes, four encoders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from peopleseg.networks.people.people_unet import PeopleUNet, people_unet
from tests.data.published import assert_numbered, numbered, randomise, written
from training.pretrained.people_unet import import_people_unet
from training.pretrained.state_dict import KeysDoNotFit, WeightsError

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def original() -> PeopleUNet:
    torch.manual_seed(0)
    network = PeopleUNet("b0").eval()
    randomise(network)
    return network


@pytest.fixture
def bare(original: PeopleUNet) -> State:
    return dict(original.unet.state_dict())


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize("prefix", ["", "model.", "unet.", "model.model.", "model.unet."])
def test_an_imported_unet_computes_the_same(
    tmp_path: Path, original: PeopleUNet, bare: State, prefix: str
) -> None:
    imported = import_people_unet(written(tmp_path / "unet.pth", prefixed(bare, prefix)))
    assert imported.variant == "b0" and not imported.training
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(imported(images), original(images))


@pytest.mark.parametrize("wrapping", ["state_dict", "model_state_dict"])
def test_a_wrapped_unet_is_the_same(
    tmp_path: Path, original: PeopleUNet, bare: State, wrapping: str
) -> None:
    content: dict[str, Any] = {wrapping: prefixed(bare, "model."), "epoch": 12, "best_miou": 0.87}
    imported = import_people_unet(written(tmp_path / "unet.pth", content))
    assert all(torch.equal(v, bare[k]) for k, v in imported.unet.state_dict().items())


PUBLISHED_ENCODER_ENTRIES = {"b0": 358, "b1": 506, "b3": 572, "b7": 1198}


@pytest.mark.parametrize("variant", PUBLISHED_ENCODER_ENTRIES)
def test_the_variant_is_found_by_the_number_of_encoder_entries(
    tmp_path: Path, variant: str
) -> None:
    state = numbered(lambda: people_unet(variant))
    entries = sum(key.startswith("encoder.") for key in state)
    assert entries == PUBLISHED_ENCODER_ENTRIES[variant]
    imported = import_people_unet(written(tmp_path / "unet.pth", prefixed(state, "model.")))
    assert imported.variant == variant
    assert_numbered(imported.unet, state)


def test_another_number_of_encoder_entries_is_refused_with_the_expected_ones(
    tmp_path: Path, bare: State
) -> None:
    del bare["encoder.conv_head.weight"]
    message = r"has 308 entries encoder\.\*.* 309 \(b0\), 437 \(b1\), 494 \(b3\), 1035 \(b7\)"
    with pytest.raises(WeightsError, match=message) as refused:
        import_people_unet(written(tmp_path / "unet.pth", bare))
    assert "its first ones are encoder.conv_stem.weight, " in str(refused.value)


def test_the_counters_of_norms_may_be_missing(tmp_path: Path, bare: State) -> None:
    """As older versions of torch and some exports leave them out."""
    without = {k: v for k, v in bare.items() if not k.endswith("num_batches_tracked")}
    imported = import_people_unet(written(tmp_path / "unet.pth", without))
    own = imported.unet.state_dict()
    assert len(without) < len(bare) and all(torch.equal(own[k], without[k]) for k in without)


def test_entries_that_do_not_fit_are_listed(tmp_path: Path, bare: State) -> None:
    bare["decoder.extra"] = bare.pop("decoder.blocks.0.conv1.0.weight")
    bare["segmentation_head.0.weight"] = torch.zeros(2, 16, 3, 3)
    with pytest.raises(KeysDoNotFit) as refused:
        import_people_unet(written(tmp_path / "unet.pth", bare))
    assert refused.value.missing == ["decoder.blocks.0.conv1.0.weight"]
    assert refused.value.unexpected == ["decoder.extra"]
    assert list(refused.value.mismatched) == ["segmentation_head.0.weight"]


def test_two_networks_in_one_file_are_refused(tmp_path: Path, bare: State) -> None:
    both = bare | prefixed(bare, "model.")
    with pytest.raises(WeightsError, match="more than one network"):
        import_people_unet(written(tmp_path / "unet.pth", both))
