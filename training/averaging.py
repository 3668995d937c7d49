"""Average the weights of checkpoints, and measure them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from peopleseg.labels.coco import require_people
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network, save_network
from training.average_command import Options
from training.data.images import report_skipped, usable_images
from training.validation.evaluation import evaluate
from training.validation.table import Row, table


def run(args: Options) -> int:
    """Average, measure, write. Raises CheckpointError, and writes nothing, for unlike networks."""
    images, skipped = usable_images(args.annotations, args.images)
    report_skipped(skipped)
    require_people(images, args.annotations)
    loaded = average([(path, load_network(path)) for path in args.checkpoints])
    metrics = evaluate(loaded, images)
    companions: dict[str, Any] = loaded.companions
    save_network(
        args.out,
        loaded.family,
        loaded.network,
        dims=loaded.dims,
        metrics=metrics,
        companions={name: (network, network.dims) for name, network in companions.items()},
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
    return first
