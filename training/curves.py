"""Draw the losses and metrics of a training over its epochs.

  python -m training.curves runs/deeplab_optimised --out curves.png
  python -m training.curves training_history.pth --out curves.png

Read is a run's folder, what TensorBoard shows of it, or the file in which the networks' original
project keeps its own: train_loss, val_loss, val_miou and val_pixel_acc, a number for each epoch.
Losses are drawn to the left, all else that lies between 0 and 1 to the right.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, FileToWrite, Help
from peopleseg.errors import PeoplesegError
from peopleseg.labels.files import write_atomically
from training.pretrained.state_dict import read_content

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

EVENT_FILES = "events.out.tfevents.*"  # TensorBoard's; the names sort by their time
LOSS = "loss"  # part of a loss's name
DPI = 120


class NoCurves(PeoplesegError):
    """There is nothing to draw; the message says what was found."""


@dataclass(frozen=True)
class Curve:
    epochs: NDArray[np.float64]  # finished, from 0 on; within an epoch a part of one
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options:
    training: Annotated[Path, POSITIONAL, Help("folder of a run, or a training_history.pth")]
    out: Annotated[FileToWrite, Help("the picture to write, a PNG")]


def run(args: Options) -> int:
    """Raises NoCurves, WeightsError, OSError."""
    curves = of_run(args.training) if args.training.is_dir() else of_history(args.training)
    write_atomically(args.out, picture(curves))
    print(f"{args.out}: {', '.join(curves)}")
    return 0


def of_run(folder: Path) -> dict[str, Curve]:
    """The losses and metrics of a run by name. What was done twice counts as it was last."""
    points: dict[str, dict[int, float]] = {}
    epoch_at: dict[int, float] = {}
    for file in sorted(folder.glob(EVENT_FILES)):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for name in events.Tags()["scalars"]:
            told = {event.step: event.value for event in events.Scalars(name)}
            (epoch_at if name == "epoch" else points.setdefault(name, {})).update(told)
    curves = {
        name: Curve(_finished(epoch_at, sorted(told)), np.array([told[at] for at in sorted(told)]))
        for name, told in points.items()
    }
    return _drawn(curves, folder)


def of_history(file: Path) -> dict[str, Curve]:
    """The same of a file of lists. Raises WeightsError, NoCurves."""
    content = read_content(file)
    history = content if isinstance(content, dict) else {}
    curves = {
        str(name): Curve(np.arange(1.0, 1 + len(values)), np.array(values, dtype=float))
        for name, values in history.items()
        if _are_numbers(values)
    }
    return _drawn(curves, file)


def picture(curves: Mapping[str, Curve]) -> bytes:
    """A PNG of two panels."""
    figure, (losses, metrics) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for name, curve in curves.items():
        panel = losses if LOSS in name else metrics
        panel.plot(curve.epochs, curve.values, "." * (len(curve.values) < 2) or "-", label=name)
    for panel, title in ((losses, "losses"), (metrics, "metrics")):
        panel.set(title=title, xlabel="epochs")
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="small")
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI)
    plt.close(figure)
    return png.getvalue()


def _finished(epoch_at: Mapping[int, float], steps: Sequence[int]) -> NDArray[np.float64]:
    """The epochs finished at each step, where it is known after which step each ended."""
    last = {epoch: step for step, epoch in sorted(epoch_at.items())}
    known = sorted((step, epoch + 1) for epoch, step in last.items())
    if not known:
        return np.array(steps, dtype=float)
    ends, epochs = zip(*[(0, 0.0), *known], strict=True)
    return np.interp(steps, ends, epochs)


def _drawn(curves: Mapping[str, Curve], where: Path) -> dict[str, Curve]:
    """Losses, and what lies between 0 and 1 as metrics do. Raises NoCurves."""
    chosen = {
        name: curve
        for name, curve in curves.items()
        if LOSS in name or _is_metric(name, curve.values)
    }
    if not chosen:
        found = f"but {', '.join(sorted(curves))}" if curves else "and no numbers at all"
        raise NoCurves(f"{where} has no loss and no metric, {found}; name a run's folder (--out)")
    return chosen


def _is_metric(name: str, values: NDArray[np.float64]) -> bool:
    """Of this project's a name alone: what else TensorBoard has stands below another."""
    return (
        "/" not in name
        and not name.startswith("lr-")
        and bool(np.all((0 <= values) & (values <= 1)))
    )


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(one, float | int) for one in values)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
