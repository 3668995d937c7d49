"""Plot a metric over the epochs of one or more trainings, and what its course predicts.

  python -m benchmarks.learning_curve runs/yolov9_t --metric box_ap50 --target 0.45 \\
      --json benchmarks/results/learning_curve.json --png docs/learning_curve.png

The prediction is a power law, limit - scale * epoch^-power, fitted to what was measured (as in
Hestness et al. 2017, arXiv:1712.00409); at least four measurements are needed. It holds for going
on in the same way, not beyond the end of a learning rate's schedule.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.speed.errors import BenchError
from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, FileToWrite, Help
from peopleseg.labels.files import write_json
from training.curves import EVENT_FILES

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

FEWEST_POINTS = 4  # one more than the law has parameters
STEPWISE = 200  # points of a drawn line


class Curve(NamedTuple):
    """What a training's validations measured."""

    epochs: NDArray[np.float64]  # finished at each validation, from 1
    hours: NDArray[np.float64]  # of training until then, pauses between resumptions left out
    values: NDArray[np.float64]


class PowerLaw(NamedTuple):
    limit: float
    scale: float
    power: float

    def at(self, epochs: Any) -> Any:
        return self.limit - self.scale * np.asarray(epochs, dtype=float) ** -self.power

    def epochs_to(self, value: float) -> float:
        """Infinite where the limit is below `value`."""
        if value >= self.limit:
            return math.inf
        return float((self.scale / (self.limit - value)) ** (1 / self.power))


@dataclass(frozen=True, kw_only=True)
class Options:
    runs: Annotated[list[Path], POSITIONAL, Help("folders of trainings (--out)")]
    metric: Annotated[str, Help("as TensorBoard names it, e.g. box_ap50")]
    target: Annotated[float | None, Help("a value to reach")] = None
    json: Annotated[FileToWrite | None, Help("file for the numbers")] = None
    png: Annotated[FileToWrite | None, Help("file for the plot")] = None


def run(args: Options) -> int:
    report: dict[str, Any] = {"metric": args.metric, "target": args.target, "runs": {}}
    axes = plt.subplots(figsize=(8, 5), layout="constrained")[1]
    for run in args.runs:
        curve = read_curve(run, args.metric)
        law = fit(curve)
        report["runs"][run.name] = described(curve, law, args.target)
        _draw(axes, run.name, curve, law)
    if args.target is not None:
        axes.axhline(args.target, color="grey", linestyle=":", label="target")
    axes.set(xlabel="epochs", ylabel=args.metric)
    axes.legend()
    if args.png:
        axes.figure.savefig(args.png, dpi=120)  # type: ignore[union-attr]
    if args.json:
        write_json(args.json, report)
    for name, row in report["runs"].items():
        print(f"{name}: " + ", ".join(f"{key} {_shown(value)}" for key, value in row.items()))
    return 0


def read_curve(run: Path, metric: str) -> Curve:
    """The metric at every validation of a run's folder. Raises BenchError if there is none.

    A run that was resumed has several files; an epoch that was done twice counts as it was last.
    """
    points: dict[float, tuple[float, float]] = {}  # epochs finished: hours, value
    metrics: set[str] = set()
    hours_before = 0.0
    for file in sorted(run.glob(EVENT_FILES)):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
        metrics |= scalars.keys()
        epoch_at = {event.step: event.value for event in scalars.get("epoch", [])}
        start_s = events.FirstEventTimestamp() if scalars else 0.0
        for event in scalars.get(metric, []):
            hours = hours_before + (event.wall_time - start_s) / 3600
            points[epoch_at[event.step] + 1] = hours, event.value
        last_s = max((event[-1].wall_time for event in scalars.values()), default=start_s)
        hours_before += (last_s - start_s) / 3600
    if metric not in metrics:
        known = ", ".join(sorted(n for n in metrics if "/" not in n)) or "no metric at all"
        raise BenchError(f"{run} has no {metric}, but {known}")
    values = np.array([(epoch, *points[epoch]) for epoch in sorted(points)], dtype=float)
    return Curve(*values.T)


def fit(curve: Curve) -> PowerLaw | None:
    """The law of least squares; None with too few points or where none can be found."""
    if len(curve.values) < FEWEST_POINTS:
        return None
    best = float(curve.values.max())
    try:
        (limit, scale, power), _ = curve_fit(
            lambda epochs, *law: PowerLaw(*law).at(epochs),
            curve.epochs,
            curve.values,
            p0=(best, max(best - curve.values[0], 1e-3), 0.5),
            bounds=((0, 0, 0.05), (1, 10, 5)),
        )
    except RuntimeError:  # scipy: no convergence
        return None
    return PowerLaw(float(limit), float(scale), float(power))


def described(curve: Curve, law: PowerLaw | None, target: float | None) -> dict[str, Any]:
    """What was reached, and what the law says of going on."""
    row: dict[str, Any] = {
        "epochs": int(curve.epochs[-1]),
        "hours": round(float(curve.hours[-1]), 3),
        "reached": round(float(curve.values.max()), 4),
        "values": np.round(curve.values, 4).tolist(),
    }
    if law is not None:
        row["predicted_at_twice_the_epochs"] = round(float(law.at(2 * curve.epochs[-1])), 4)
        row["predicted_limit"] = round(law.limit, 4)
        if target is not None:
            needed = law.epochs_to(target)
            row["epochs_to_target"] = None if math.isinf(needed) else math.ceil(needed)
    return row


def _draw(axes: Any, name: str, curve: Curve, law: PowerLaw | None) -> None:
    (line,) = axes.plot(curve.epochs, curve.values, "o-", label=name)
    if law is not None:
        ahead = np.linspace(curve.epochs[0], 2 * curve.epochs[-1], STEPWISE)
        label = f"{name}, predicted"
        axes.plot(ahead, law.at(ahead), "--", color=line.get_color(), label=label)


def _shown(value: Any) -> str:
    return "never" if value is None else f"{value}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
