"""DeepLabs that were trained elsewhere: under our names, under others, and what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.semantic.deeplab import VARIANTS, DeepLab, Variant

State = dict[str, Tensor]


@pytest.fixture(scope="module", params=VARIANTS)
def network(request: pytest.FixtureRequest) -> DeepLab:
    """With weights that are all different."""
    torch.manual_seed(1)
    network = DeepLab(request.param).eval()
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1)
    return network


def renamed(state: State) -> State:
    """Other names with the same roles."""
    return {f"net.l{n}.{key.rpartition('.')[2]}": v for n, (key, v) in enumerate(state.items())}


def parts_moved(state: State) -> State:
    """The projections behind all else, as if they were defined last."""
    moved = {key: value for key, value in state.items() if "_projection" in key}
    return renamed({key: v for key, v in state.items() if key not in moved} | moved)


def without_counters(state: State) -> State:
    return renamed({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})


def of_several_gpus(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


def imported(file: Path) -> int:
    return main(["import-weights", "deeplab", str(file), "--out", str(file.with_suffix(".ckpt"))])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict, False),
        (of_several_gpus, False),
        (renamed, True),
        (parts_moved, True),
        (without_counters, True),
    ],
)
def test_a_file_becomes_a_checkpoint_of_its_variant(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network: DeepLab,
    change: Callable[[State], State],
    told: bool,
) -> None:
    file = tmp_path / "checkpoint_latest.pth"
    torch.save({"epoch": 3, "model_state_dict": change(network.state_dict())}, file)
    assert imported(file) == 0
    assert ("matched by their order" in capsys.readouterr().err) == told
    loaded = load_network(file.with_suffix(".ckpt"))
    assert loaded.family == "deeplab" and loaded.dims == network.dims
    found = loaded.network.state_dict()
    for key, value in network.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(found[key], value), key


@pytest.mark.parametrize(
    ("told", "metrics"),
    [
        ({"miou": 0.5803}, {"miou": 0.5803}),
        ({"miou": np.float64(58.03)}, {"miou": 0.5803}),
        ({"history": {"val_miou": [0.1], "val_pixel_acc": [0.7, 0.8]}}, {"pixel_accuracy": 0.8}),
        ({"miou": "good", "history": []}, {}),
    ],
)
def test_the_metrics_that_a_file_tells_go_into_the_checkpoint(
    tmp_path: Path, told: dict[str, Any], metrics: dict[str, float]
) -> None:
    file = tmp_path / "checkpoint_epoch_4_best.pth"
    torch.save({"model_state_dict": DeepLab().state_dict(), "best_miou": 0.6, **told}, file)
    assert imported(file) == 0
    assert load_network(file.with_suffix(".ckpt")).metrics == pytest.approx(metrics)


def without_the_classifier(state: State) -> State:
    return {key: value for key, value in state.items() if "classifier" not in key}


def with_more(state: State) -> State:
    return state | {"auxiliary.weight": torch.zeros(21, 48, 1, 1)}


def of_other_classes(state: State) -> State:
    changed = {key: value[:4] for key, value in state.items() if "classifier" in key}
    return state | changed


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_the_classifier, ["missing: classifier.1.weight [21, "]),
        (with_more, ["unexpected: net.l", "[21, 48, 1, 1]"]),
        (of_other_classes, ["missing: classifier.1.bias [21]", "unexpected: net.l", " [4]"]),
    ],
)
def test_what_does_not_fit_is_listed_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    variant: Variant,
    change: Callable[[State], State],
    words: list[str],
) -> None:
    file = tmp_path / "weights.pth"
    torch.save(renamed(change(DeepLab(variant).state_dict())), file)
    assert imported(file) == 1
    printed = capsys.readouterr().err
    assert f"{file} (as the {variant} one) does not fit" in printed
    assert all(word in printed for word in words)
    assert printed.count("missing:") + printed.count("unexpected:") < 6  # what is wrong alone
    assert list(tmp_path.iterdir()) == [file]
