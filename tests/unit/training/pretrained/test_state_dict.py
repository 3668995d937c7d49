"""Weights of other projects' files: every wrapping is read, and nothing is left over in silence."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.pretrained.state_dict import (
    KeysDoNotFit,
    WeightsError,
    load_exactly,
    read_state_dict,
    without_prefix,
)

WEIGHTS = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


def saved(folder: Path, content: Any) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model_state_dict": WEIGHTS, "best_miou": 0.8, "optimizer_state_dict": {"state": {}}},
        {"model": WEIGHTS, "config": {"name": "x"}},
    ],
)
def test_every_wrapping_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    assert read_state_dict(saved(tmp_path, content)).keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "best_miou": 0.5}, "the keys epoch, best_miou"),
        ({}, "(none)"),
        ([1, 2], "a list"),
        ({"state_dict": {"a": 1}}, "the keys a"),
    ],
)
def test_a_file_without_weights_is_refused_by_what_it_holds(
    tmp_path: Path, content: Any, words: str
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(WeightsError, match=re.escape(words)) as refused:
        read_state_dict(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_what_wrappers_put_before_all_names_is_left_out(tmp_path: Path, prefix: str) -> None:
    wrapped = {f"{prefix}{name}": value for name, value in WEIGHTS.items()}
    assert read_state_dict(saved(tmp_path, {"state_dict": wrapped})).keys() == WEIGHTS.keys()
    one_alone = {**WEIGHTS, "module.b": torch.ones(1)}  # a module of that name
    assert read_state_dict(saved(tmp_path, one_alone)).keys() == one_alone.keys()


def test_averaged_weights_are_taken_before_the_last_ones(tmp_path: Path) -> None:
    averaged = {name: value + 1 for name, value in WEIGHTS.items()}
    read = read_state_dict(saved(tmp_path, {"model": WEIGHTS, "ema": averaged, "epoch": 3}))
    assert all(torch.equal(read[name], averaged[name]) for name in WEIGHTS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
        (b"<!DOCTYPE html><html>Not Found</html>", "is HTML or XML"),
        (b"\x1f\x8b\x08\x00", "run gunzip on it first"),
    ],
)
def test_what_a_file_is_instead_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as refused:
        read_state_dict(path)
    assert told in str(refused.value) and "python -c" not in str(refused.value)


@pytest.mark.parametrize("content", [b"no weights at all", b"PK\x03\x04 half an archive"])
def test_a_file_that_is_none_of_torchs_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="could not be read as weights only"):
        read_state_dict(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "none.pth")


class WritesAFile:
    """What a hostile pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    trace = tmp_path / "it_ran"
    path = saved(tmp_path, {"model": WritesAFile(trace)})
    with pytest.raises(WeightsError):
        read_state_dict(path)
    assert not trace.exists()


def test_the_conversion_that_the_message_gives_works(tmp_path: Path) -> None:
    stored = network().half()
    path = saved(tmp_path, {"model": stored, "epoch": 1})
    with pytest.raises(WeightsError, match="weights only") as refused:
        read_state_dict(path)
    _, _, command = str(refused.value).rpartition("\n")
    interpreter, *arguments = shlex.split(command)
    assert interpreter == "python"
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, timeout=60)
    converted = read_state_dict(tmp_path / "converted.pt")
    assert converted.keys() == stored.state_dict().keys()
    assert torch.equal(converted["0.weight"], stored[0].weight.float())
    assert path.exists()


def test_weights_are_given_exactly() -> None:
    target, source = network(), network()
    nn.init.normal_(source[0].weight)
    load_exactly(target, source.state_dict(), "x.pth")
    assert all(torch.equal(a, b) for a, b in zip(*map(values, (target, source)), strict=True))


def values(module: nn.Module) -> list[Tensor]:
    return list(module.state_dict().values())


def test_weights_are_found_by_their_published_names() -> None:
    target, source = network(), network()
    nn.init.normal_(source[0].weight)
    renamed = {f"net.{key}": value for key, value in source.state_dict().items()}
    load_exactly(target, renamed, "x.pth", published=lambda key: f"net.{key}")
    assert torch.equal(target[0].weight, source[0].weight)


def test_all_that_does_not_fit_is_listed_and_nothing_is_changed() -> None:
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = dict(network().state_dict())
    del state["0.bias"], state["1.weight"]
    state |= {"0.scale": torch.ones(1), "head.bias": torch.ones(1), "1.bias": torch.ones(5)}
    with pytest.raises(KeysDoNotFit) as refused:
        load_exactly(target, state, "x.pth")
    error = refused.value
    assert error.missing == ["0.bias", "1.weight"]
    assert error.unexpected == ["0.scale", "head.bias"]
    assert error.mismatched == {"1.bias": ((5,), (4,))}
    message = str(error)
    assert "x.pth" in message
    for key in ("0.bias", "1.weight", "0.scale", "head.bias", "1.bias"):
        assert key in message
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_one_surplus_entry_is_enough_to_refuse() -> None:
    state = network().state_dict() | {"2.weight": torch.ones(1)}
    with pytest.raises(KeysDoNotFit, match=r"unexpected: 2\.weight"):
        load_exactly(network(), state, "x.pth")


def test_only_the_norms_counters_may_be_missing() -> None:
    state = dict(network().state_dict())
    del state["1.num_batches_tracked"]
    load_exactly(network(), state, "x.pth")
    del state["1.running_mean"]
    with pytest.raises(KeysDoNotFit, match=r"missing: 1\.running_mean"):
        load_exactly(network(), state, "x.pth")


def test_a_prefix_selects_and_goes() -> None:
    assert list(without_prefix(WEIGHTS | {"b.weight": torch.ones(1)}, "a.")) == ["weight", "bias"]
