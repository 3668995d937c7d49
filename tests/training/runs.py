"""Run the training command, small."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from training import cli

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


class Data(NamedTuple):
    """Images for training and validation, and checkpoints of frozen networks."""

    images: Path
    annotations: Path
    people_unet: Path
    detector: Path

    def arguments(self) -> list[str]:
        folder = [f"--data.{part}.images={self.images}" for part in ("train", "val")]
        folder += [f"--data.{part}.annotations={self.annotations}" for part in ("train", "val")]
        return [
            *folder,
            "--data.loader.batch_size=2",
            "--data.loader.validation_batch_size=2",
            "--data.loader.workers=0",
            "--trainer.accelerator=cpu",
            "--trainer.limit_val_batches=0.5",  # one of two or three; a 1 is read as all
            "--trainer.num_sanity_val_steps=0",
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            "--trainer.log_every_n_steps=1",
        ]


def train(*arguments: str) -> int:
    """`peopleseg train ...`, in this process. Returns the exit code."""
    return cli.run(arguments, tells_next=True)


def unet_arguments(data: Data, out: Path, epochs: int) -> list[str]:
    """A people UNet on tiny canvases: three steps an epoch, a second or two."""
    return [
        "fit",
        f"--config={CONFIGS / 'people_unet_b0.yaml'}",
        *data.arguments(),
        "--model.shrink=4",
        "--data.size=64",
        f"--trainer.max_epochs={epochs}",
        f"--out={out}",
    ]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return state["state_dict"] | {
        f"current.{k}": v for k, v in state["current_model_state"].items()
    }


def differing(a: Path, b: Path) -> list[str]:
    """Names of the weights that are not the same, bit for bit, in two checkpoints."""
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]
