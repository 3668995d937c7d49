"""Average the weights of checkpoints of one training: often better than each of them.

  peopleseg average-weights runs/unet/best.ckpt runs/unet/last.ckpt --out unet.ckpt \\
      --images val --annotations person_val.json

Averages of networks that lie near each other generalise better than one that a training happens to
end with (Izmailov et al. 2018, arXiv:1803.05407; Wortsman et al. 2022, arXiv:2203.05482); those of
separate trainings from scratch are worth nothing, so measure. The checkpoint that is written has
the first one's companions, and the figures of the pictures, which it is measured on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from peopleseg.cli.output import file_to_write, require_separate
from peopleseg.labels.coco import require_people
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network, save_network
from training.data.pictures import report_skipped, usable_pictures
from training.validation.evaluation import evaluate
from training.validation.table import Row, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg average-weights`."""
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="two or more"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the pictures")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument(
        "--out", type=file_to_write, required=True, metavar="CKPT", help="the checkpoint to write"
    )


def run(args: argparse.Namespace) -> int:
    """Average, measure, write. Returns 1, and writes nothing, when the networks are not alike."""
    for checkpoint in args.checkpoints:
        require_separate({"the checkpoint": checkpoint, "--out": args.out})
    try:
        pictures, skipped = usable_pictures(args.annotations, args.images)
        report_skipped(skipped)
        require_people(pictures, args.annotations)
        loaded = average([(path, load_network(path)) for path in args.checkpoints])
        figures = evaluate(loaded, pictures)
    except (CheckpointError, ValueError) as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    companions: dict[str, Any] = loaded.companions
    save_network(
        args.out,
        loaded.family,
        loaded.network,
        dims=loaded.dims,
        metrics=figures,
        companions={name: (network, network.dims) for name, network in companions.items()},
    )
    print(table([Row(str(args.out), loaded.family, None, figures)]))
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
