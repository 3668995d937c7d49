"""Import checkpoints of the two DeepLabV3+ that were trained elsewhere.

A training there leaves checkpoint_epoch_N.pth, one with _best and checkpoint_latest.pth: each has
model_state_dict, epoch, miou, best_miou, history and the optimiser's state. A bare state dict is
read too. Names of layers are not published. So a file has our names, or its layers are matched
by what they are: a convolution with the norm behind it, or what else has a weight, is the same as
ours of the same shapes, and of several alike the first is the first of ours, and so on.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from peopleseg.networks.semantic.deeplab import VARIANTS, DeepLab
from training.pretrained.imported import Imported
from training.pretrained.state_dict import (
    KeysDoNotFit,
    State,
    load_exactly,
    read_content,
    weights_in,
)

_COUNTER = "num_batches_tracked"
# What a file calls what we call so: its last value counts.
_METRICS = {"miou": ("miou",), "pixel_accuracy": ("val_pixel_acc", "pixel_acc")}

Layer = list[tuple[str, Tensor]]  # names and values: of a weight with more than one axis, and on


class Fit(NamedTuple):
    """How a file fits a network."""

    network: DeepLab
    names: dict[str, str]  # ours, and what the file calls them
    missing: list[str]
    unexpected: list[str]


def import_deeplab(path: Path) -> Imported:
    """The network of a file, of the variant that its shapes tell.

    Raises WeightsError (KeysDoNotFit for entries that do not fit), OSError.
    """
    content = read_content(path)
    state = {name: v for name, v in weights_in(content, path).items() if _counts(name)}
    fits = [_fit(DeepLab(variant), state) for variant in VARIANTS]
    best = min(fits, key=lambda fit: len(fit.missing) + len(fit.unexpected))
    network, names = best.network, best.names
    if best.missing or best.unexpected:
        source = f"{path} (as the {network.variant} one)"
        raise KeysDoNotFit(source, best.missing, best.unexpected, {})
    load_exactly(network, {ours: state[theirs] for ours, theirs in names.items()}, str(path))
    if any(ours != theirs for ours, theirs in names.items()):
        print(
            f"peopleseg: the layers of {path} have other names; they were matched by their order "
            "and shapes, so measure what comes of it: peopleseg validate",
            file=sys.stderr,
        )
    return Imported(network.eval(), metrics=_metrics(content))


def _fit(network: DeepLab, state: State) -> Fit:
    own = {name: value for name, value in network.state_dict().items() if _counts(name)}
    same = own.keys() == state.keys() and all(v.shape == state[n].shape for n, v in own.items())
    names = dict(zip(own, own, strict=True)) if same else _matched(own, state)
    taken = set(names.values())
    missing = [_shown(name, value) for name, value in own.items() if name not in names]
    unexpected = [_shown(name, value) for name, value in state.items() if name not in taken]
    return Fit(network, names, missing, unexpected)


def _matched(own: State, state: State) -> dict[str, str]:
    """Our names to those of the file, as far as layers are the same."""
    theirs: dict[Any, list[Layer]] = {}
    for layer in _layers(state):
        theirs.setdefault(_kind(layer), []).append(layer)
    names: dict[str, str] = {}
    for layer in _layers(own):
        if alike := theirs.get(_kind(layer)):
            pairs = zip(layer, alike.pop(0), strict=True)
            names |= {ours: published for (ours, _), (published, _) in pairs}
    return names


def _layers(state: Mapping[str, Tensor]) -> list[Layer]:
    """The entries in their order; each weight with more than one axis begins a layer."""
    layers: list[Layer] = []
    for name, value in state.items():
        if value.ndim > 1 or not layers:
            layers.append([])
        layers[-1].append((name, value))
    return layers


def _kind(layer: Layer) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name.rpartition(".")[2], tuple(value.shape)) for name, value in layer)


def _shown(name: str, value: Tensor) -> str:
    return f"{name} {list(value.shape)}"


def _counts(name: str) -> bool:
    return not name.endswith(_COUNTER)


def _metrics(content: Any) -> dict[str, float]:
    """What the file says of its network, in parts of 1. Raises nothing: it may say nothing."""
    if not isinstance(content, dict):
        return {}
    history = content.get("history")
    told = {**(history if isinstance(history, dict) else {}), **content}
    found = {
        ours: _last(told[theirs])
        for ours, names in _METRICS.items()
        for theirs in names
        if theirs in told
    }
    return {name: value for name, value in found.items() if 0 <= value <= 1}


def _last(value: Any) -> float:
    """Of a number or of a list of numbers; NaN for anything else. Percent become parts of 1."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        value = value[-1]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number / 100 if number > 1 else number
