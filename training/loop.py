"""The training loop that the three scripts share: one-cycle AdamW, averaged weights, resume."""

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from peopleseg.coco import Picture, load_pictures

Batch = Any
Sample = Any  # of one picture, as its script makes it
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def argument_parser(
    description: str | None, several_data_sets: bool = False
) -> argparse.ArgumentParser:
    """The arguments that every training script has."""
    action = "append" if several_data_sets else "store"
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, action=action, help="picture folder")
    parser.add_argument("--annotations", type=Path, required=True, action=action, help="COCO file")
    parser.add_argument("--checkpoint", type=Path, required=True, help="written after every epoch")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose weights to begin with")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--learning-rate", type=float, default=2e-3, help="the highest of the cycle"
    )
    parser.add_argument("--validation-images", type=Path, help="measured after every epoch")
    parser.add_argument("--validation-annotations", type=Path, help="their COCO file")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    return parser


def begin(network: nn.Module, start_from: Path | None) -> Any:
    """The network on its device, with the weights of a checkpoint of the same dims if one is named.

    Any is the network's own type: torch's `to` keeps it, its types do not.
    """
    if start_from:
        network.load_state_dict(torch.load(start_from, weights_only=True)["model"])
    return network.to(DEVICE, memory_format=torch.channels_last)


def train_as_asked(
    args: argparse.Namespace,
    network: nn.Module,
    augment: Callable[[Picture, np.random.Generator], Sample],
    loss: Callable[[list[Sample]], Tensor],
    *,
    pictures: list[Picture],
    dims: dict[str, Any],
    validate: Callable[[nn.Module, list[Picture]], dict[str, float]],
    usable: Callable[[list[Sample]], bool] = bool,
) -> None:
    """`train` by the arguments of `argument_parser`, on batches of augmented pictures.

    A batch that is not `usable` is left out. validate(average, pictures held out) gives figures.
    """

    def batches(epoch: int) -> Iterator[list[Sample]]:
        return filter(usable, augmented_batches(pictures, augment, args.batch_size, epoch))

    measure = None
    if args.validation_annotations:
        held_out = load_pictures(args.validation_annotations, args.validation_images)

        def measure(average: nn.Module) -> dict[str, float]:
            return validate(average, held_out)

    train(
        network,
        batches,
        loss,
        steps_per_epoch=len(pictures) // args.batch_size,
        epochs=args.epochs,
        max_learning_rate=args.learning_rate,
        checkpoint=args.checkpoint,
        dims=dims,
        validate=measure,
    )


def augmented_batches(
    pictures: list[Picture],
    augment: Callable[[Picture, np.random.Generator], Sample],
    batch_size: int,
    epoch: int,
) -> Iterator[list[Sample]]:
    """One epoch of shuffled, augmented batches; the same ones for the same epoch."""
    random = np.random.default_rng(epoch)
    order = random.permutation(len(pictures))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        yield [augment(pictures[index], random) for index in order[start : start + batch_size]]


def mixed_precision(enabled: bool) -> torch.autocast:
    return torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=enabled)


def train(
    network: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    loss: Callable[[Batch], Tensor],
    *,
    steps_per_epoch: int,
    epochs: int,
    max_learning_rate: float,
    checkpoint: Path,
    dims: dict[str, Any],
    weight_decay: float = 0.05,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> None:
    """Train `network` and write `checkpoint` after every epoch; a later call continues there.

    `batches(epoch)` yields one epoch; `loss(batch)` runs the network. The checkpoint's `model` is
    the exponential moving average of the weights, `dims` the arguments that rebuild the network.
    """
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(_groups(network, weight_decay), lr=max_learning_rate)
    total = steps_per_epoch * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_learning_rate, total_steps=total + 1, pct_start=min(0.1, 300 / total)
    )
    first = _resume(checkpoint, network, average, optimiser, schedule)
    for epoch in range(first, epochs):
        network.train()
        start, running, step = time.monotonic(), 0.0, epoch * steps_per_epoch
        bar = tqdm(batches(epoch), total=steps_per_epoch, desc=f"epoch {epoch + 1}/{epochs}")
        for count, batch in enumerate(bar, start=1):
            value = loss(batch)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"loss is {value.item()} in epoch {epoch + 1}, batch {count}"
                )
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            _average(average, network, step + count)
            running += value.item()
            bar.set_postfix(loss=f"{running / count:.3f}")
        report = {"loss": running / count, "seconds": time.monotonic() - start}
        report |= validate(average) if validate else {}
        print(
            f"epoch {epoch + 1}: " + ", ".join(f"{k} {v:.4g}" for k, v in report.items()),
            flush=True,
        )
        state = {
            "dims": dims,
            "model": average.state_dict(),
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
            "report": report,
        }
        _save(state, checkpoint)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for convolution and linear weights only, not for norms and biases."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, step: int) -> None:
    decay = min(0.998, (1 + step) / (10 + step))
    for mean, value in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _resume(checkpoint: Path, network: nn.Module, average: nn.Module, *others: Any) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["model"])
    for other, key in zip(others, ("optimiser", "schedule"), strict=True):
        other.load_state_dict(state[key])
    print(f"continue {checkpoint} after epoch {state['epoch']}", flush=True)
    return int(state["epoch"])


def _save(state: dict[str, Any], path: Path) -> None:
    """Write beside, then rename: a killed run leaves the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
