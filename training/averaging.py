"""Average the weights of checkpoints, and measure them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network, save_network
from training.average_command import Options
from training.validation.part import Row
from training.validation.parts import part_reading
from training.validation.table import table


def run(args: Options) -> int:
    """Average, measure, write. Raises CheckpointError, and writes nothing, for unlike networks."""
    part = part_reading(args.annotations)
    images, _ = part.load(args.annotations, args.images)
    loaded = average([(path, load_network(path)) for path in args.checkpoints])
    part.require(loaded.family, args.annotations)
    metrics = part.evaluate(loaded, images).metrics
    companions: dict[str, Any] = loaded.companions
    save_network(
        args.out,
        loaded.family,
        loaded.network,
        dims=loaded.dims,
        metrics=metrics,
        companions={name: (network, network.dims) for name, network in companions.items()},
        trained_on=loaded.trained_on,
    )
    print(table([Row(str(args.out), loaded.family, None, metrics)]))
    return 0


def average(checkpoints: Sequence[tuple[Path, Loaded]]) -> Loaded:
    """The first network with the mean of all weights and norm statistics, in place.

    Counts, such as a norm's of its batches, stay the first one's. Raises CheckpointError for
    networks of different families or dims, naming the file, and for fewer than two.
    """
    (first_path, first), *others = checkpoints
    if not others:
        raise CheckpointError(f"{first_path} alone has no average; name two checkpoints or more")
    for path, other in others:
        if (other.family, other.dims) != (first.family, first.dims):
            raise CheckpointError(
                f"{path} holds a {other.family} with {other.dims}, {first_path} a {first.family} "
                f"with {first.dims}; only checkpoints of one network can be averaged"
            )
    states = [loaded.network.state_dict() for _, loaded in checkpoints]
    for name, values in states[0].items():
        if values.is_floating_point():
            values.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    return replace(first, trained_on=_every_image([loaded for _, loaded in checkpoints]))


def _every_image(checkpoints: Sequence[Loaded]) -> tuple[str, ...]:
    return tuple(sorted({name for loaded in checkpoints for name in loaded.trained_on}))
