"""Import checkpoints of UniPHD (bo-miao/RefHuman) and of its lighter designs (Nikhil-Rao20/HuMAR).

A file has `model`, the weights, beside the optimiser's state and the arguments of the training.
Transformer, text encoder and backbone are those whose names and shapes it has: any of our text
encoders, and UniPHD's Swin or SegFormer's backbones. The network computes as the source does, at
UniPHD's largest size, SIZE: its mask head reads distances in pixels. That one group is asked or
twenty, the file does not say; it was trained with twenty.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from peopleseg.networks.referring.backbones import MIX_TRANSFORMERS, Backbone
from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.mask_head import CHANNELS, COORDINATES
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.pose_transformer import GROUPS
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.text_encoders import TEXT_ENCODERS, TextEncoder
from training.pretrained.referring.uniphd_names import DESIGNS, FUSIONS, names_of
from training.pretrained.state_dict import State, WeightsError, load_exactly, read_state_dict

SIZE = 640  # pixels of the square's side
_PARTS = ("query", "key", "value")
# The heads are the decoder's too, under a second name; numbers of places are no weights.
_TWICE = re.compile(r"transformer\.decoder\.(class|bbox|pose)_embed\.|.*\.position_ids$")
_SWIN_TABLES = re.compile(r"backbone\.0\..*\.relative_position_index$")
_RANDOM = "transformer.encoder.spp.branches.0.1.weight"  # of HuMAR's fully_conv


def import_uniphd(path: Path) -> ReferringNetwork:
    """The network of a file, in evaluation mode.

    Raises WeightsError (KeysDoNotFit for entries that do not fit), OSError.
    """
    state = read_state_dict(path)
    if _RANDOM in state:
        raise WeightsError(
            f"{path} is HuMAR's fully_conv, whose source fuses its maps by a layer that is made "
            "anew, at random, for every image: what the others learned is of no use without it. "
            "Train one: transformer: fully_conv"
        )
    state = _with_single_projections(
        {k: v for k, v in state.items() if not (_TWICE.match(k) or _SWIN_TABLES.match(k))}
    )
    design = _alike(state, "transformer", DESIGNS, lambda name: TRANSFORMERS[name](GROUPS))
    text_encoder = _alike(state, "text_encoder", TEXT_ENCODERS, TextEncoder)
    backbone = _alike(state, "backbone", ("swin_tiny", *MIX_TRANSFORMERS), _published_backbone)
    network = ReferringNetwork(design, text_encoder, backbone, GROUPS, as_published=True)
    load_exactly(network, state, str(path), names_of(design))
    _read_squares(network)
    return network.eval()


def _alike(state: State, part: str, names: Iterable[str], build: Callable[[str], nn.Module]) -> str:
    """The name of ours that shares most of its entries' names and shapes with the file."""

    def shared(name: str) -> float:
        published = names_of(name if name in DESIGNS else DESIGNS[0])
        with torch.device("meta"):
            own = build(name).state_dict()
        same = [
            (theirs := published(f"{part}.{key}")) in state and state[theirs].shape == value.shape
            for key, value in own.items()
        ]
        return sum(same) / len(same)

    return max(names, key=shared)


def _published_backbone(name: str) -> Backbone:
    return Backbone(name, as_published=True)


def _with_single_projections(state: State) -> State:
    """What torch's attention projects by one weight as three, and both fusions as one."""
    single: State = {}
    for key, value in state.items():
        if re.search(r"\.in_proj_(weight|bias)$", key) and len(value) == 3 * WIDTH:
            single |= {f"{key}[{n}]": v for n, v in zip(_PARTS, value.split(WIDTH), strict=True)}
        else:
            single[key] = value
    for kind in ("weight", "bias"):
        names = [
            [f"{one}.in_proj_{kind}[{part}]" for part in _PARTS] + [f"{one}.out_proj.{kind}"]
            for one in FUSIONS
        ]
        if all(name in single for row in names for name in row):
            rows = [torch.stack([single.pop(name) for name in row]) for row in names]
            single[f"{' and '.join(FUSIONS)}: {kind}"] = torch.stack(rows)
    return single


def _read_squares(network: ReferringNetwork) -> None:
    """Of distances in squares what the file's mask head reads of pixels."""
    last = network.mask_head.controller.last
    inputs = WIDTH + COORDINATES
    with torch.no_grad():
        for values in (last.weight, last.bias):
            first = values[: inputs * CHANNELS].unflatten(0, (CHANNELS, inputs))
            first[:, WIDTH:] *= SIZE
