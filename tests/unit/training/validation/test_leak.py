"""What a checkpoint says it was trained on, and what it is not measured on."""

from pathlib import Path

import pytest
import torch
from torch import nn

from peopleseg.networks.checkpoint import Loaded, load_network, save_network
from peopleseg.networks.semantic.deeplab import DeepLab
from training.averaging import average
from training.validation.leak import Leak, refuse_seen, seen, trained_on

TRAIN = [Path("train/a.jpg"), Path("more/b.png"), Path("train/a.jpg")]


def loaded(names: tuple[str, ...]) -> Loaded:
    return Loaded("deeplab", {}, nn.Identity(), {}, trained_on=names)


def test_every_name_is_recorded_once_with_those_from_before() -> None:
    assert trained_on(TRAIN) == ["a", "b"]
    assert trained_on(TRAIN, ("z", "b")) == ["a", "b", "z"]
    assert trained_on([]) == []


def test_an_image_is_known_again_in_another_folder_and_format() -> None:
    network = loaded(("a", "b"))
    assert seen(network, [Path("val/b.jpg"), Path("val/c.jpg")]) == ["b"]
    assert seen(network, [Path("val/c.jpg")]) == []
    assert seen(loaded(()), TRAIN) == []


def test_what_was_seen_is_refused_in_a_sentence() -> None:
    refuse_seen([], 9)
    with pytest.raises(Leak, match=r"trained on 7 of these 9 images \(0, 1, 2, 3, 4 and 2 more\)"):
        refuse_seen([str(number) for number in range(7)], 9)


@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_a_checkpoint_keeps_the_names(tmp_path: Path, ending: str) -> None:
    network, file = DeepLab(), tmp_path / f"x.{ending}"
    save_network(file, "deeplab", network, dims=network.dims, trained_on=["a", "b"])
    assert load_network(file).trained_on == ("a", "b")
    save_network(file, "deeplab", network, dims=network.dims)
    assert load_network(file).trained_on == ()


def test_an_average_was_trained_on_what_each_of_its_checkpoints_was() -> None:
    torch.manual_seed(0)
    pairs = [(Path(name), loaded((name, "both"))) for name in ("b", "a")]
    assert average(pairs).trained_on == ("a", "b", "both")
