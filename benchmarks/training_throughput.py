"""Train some steps of each configuration: how fast it is and where the time goes.

  python -m benchmarks.training_throughput --configs training/configs/yolov9_t.yaml \\
      --data data/people --workers 2 --json benchmarks/results/training_throughput.json

"waiting for images" is the share of the steps' time in which the network had none to work on.
`loader_alone` is how many images a second the same workers make when nothing else runs: far above
`images_per_second`, and the loader is not what limits the training. After `--` more arguments for
`peopleseg train fit`, for example the checkpoints that a mask head reads.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, Count, FileToWrite, Help, Whole
from peopleseg.labels.files import write_json

PREFIX = "time/"  # of the scalars that training.callbacks.throughput logs


@dataclass(frozen=True, kw_only=True)
class Options:
    arguments: Annotated[
        tuple[str, ...], POSITIONAL, Help("after --, for `peopleseg train fit`")
    ] = ()
    configs: Annotated[tuple[Path, ...], Help("YAML files")]
    data: Annotated[Path, Help("folder as `--data.root` takes it")]
    json: Annotated[FileToWrite, Help("results, added to if it is there")]
    workers: Annotated[Whole, Help("of the loader")] = 2
    steps: Annotated[Count, Help("to train")] = 20


def run(args: Options) -> int:
    results = json.loads(args.json.read_text()) if args.json.is_file() else {}
    for config in args.configs:
        row = {"workers": args.workers, "steps": args.steps, **measure(config, args)}
        results[config.stem] = row
        write_json(args.json, results)
        print(f"{config.stem}: " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    return 0


def measure(config: Path, args: Options) -> dict[str, float]:
    """Rates in images a second and shares of the steps' time."""
    out = Path(tempfile.mkdtemp(prefix="throughput-"))
    fit = [
        "fit",
        f"--config={config}",
        f"--data.root={args.data}",
        f"--data.loader.workers={args.workers}",
        f"--trainer.limit_train_batches={args.steps}",
        "--trainer.max_epochs=1",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        f"--out={out}",
        *args.arguments,
    ]
    try:
        subprocess.run([sys.executable, "-m", "peopleseg.cli.main", "train", *fit], check=True)
        return {**_logged(out), "loader_alone": loader_alone(fit, args.steps)}
    finally:
        shutil.rmtree(out)


def loader_alone(fit: Sequence[str], steps: int) -> float:
    """Images a second of the configuration's own loader, its start left out."""
    from training.cli import build  # brings torch, which --help does without

    _, data = build(fit)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    next(batches)
    start, images = time.perf_counter(), 0
    for _, batch in zip(range(steps), batches, strict=False):
        images += len(batch.images)
    return images / (time.perf_counter() - start)


def _logged(out: Path) -> dict[str, float]:
    events = EventAccumulator(str(out))
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): events.Scalars(name)[-1].value for name in names}


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
