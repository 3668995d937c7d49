"""A result as a plot."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from benchmarks.speed import metrics
from benchmarks.speed.memory import UNDER_LOAD
from benchmarks.speed.metrics import groups_of, kinds_of, of_kind
from benchmarks.speed.result import Result, slices_of
from benchmarks.speed.tables import PARTS, step_median
from benchmarks.speed.targets import DIRECT, ONE_CALLER, SERVER
from peopleseg.labels.files import write_atomically

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

DPI = 120
PANELS = 4  # in a row


def draw(result: Result, path: Path) -> None:
    """Write the PNG of a result, whole or not at all."""
    figure = _DRAWN[result["benchmark"]](result)
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI)
    plt.close(figure)
    write_atomically(path, png.getvalue())


def _throughput(result: Result, title: str = "people: {}") -> Any:
    """Images a second by callers, one panel for each group; the limit is a line."""
    slices = slices_of(result)
    groups = groups_of(slices)
    figure, panels = plt.subplots(
        1, len(groups), figsize=(3.2 * len(groups) + 1, 4), squeeze=False, layout="constrained"
    )
    for panel, group in zip(panels[0], groups, strict=True):
        best = metrics.rates(metrics.limit(slices, group))
        panel.axhline(
            best.median, color="black", linestyle="--", label="limit: called directly (+)"
        )
        panel.axhspan(best.low, best.high, color="grey", alpha=0.2)
        for target, callers in [kind for kind in kinds_of(slices) if kind[0] in DIRECT]:
            rate = metrics.rates(of_kind(slices, group, target, callers)).median
            panel.plot(callers, rate, "k+")
        for name in sorted({target for target, _ in kinds_of(slices) if target not in DIRECT}):
            kinds = [kind for kind in kinds_of(slices) if kind[0] == name]
            found = [metrics.rates(of_kind(slices, group, *kind)) for kind in kinds]
            _spread_line(panel, [callers for _, callers in kinds], found, name)
        panel.set_xticks(sorted({callers for _, callers in kinds_of(slices)}))
        panel.set(title=title.format(group), xlabel="callers", ylim=(0, None))
    panels[0][0].set_ylabel("images a second")
    panels[0][0].legend(loc="lower right", fontsize="small")
    return figure


def _steps(result: Result) -> Any:
    """A bar for each group and kind of load, made of the steps' times in their order."""
    samples = result["samples"]
    bars = list(dict.fromkeys((one["group"], one["target"], one["callers"]) for one in samples))
    figure, panel = plt.subplots(figsize=(10, 0.5 * len(bars) + 2), layout="constrained")
    names = list(dict.fromkeys(step for one in samples for step in one["steps"]))
    colours = plt.get_cmap("tab10")
    for row, (group, target, callers) in enumerate(bars):
        ours = [
            one
            for one in samples
            if (one["group"], one["target"], one["callers"]) == (group, target, callers)
        ]
        left = 0.0
        for number, step in enumerate(names):
            waiting, *working = (step_median(ours, step, part) or 0.0 for part in PARTS)
            for ms, alpha in ((waiting, 0.35), (sum(working), 1.0)):
                panel.barh(row, ms, left=left, color=colours(number), alpha=alpha)
                left += ms
        latency = float(np.median([one["latency_ms"] for one in ours]))
        panel.plot([latency, latency], [row - 0.45, row + 0.45], color="black", linewidth=2)
    for number, step in enumerate(names):
        panel.barh(0, 0, color=colours(number), label=step)
    panel.plot([], [], color="black", linewidth=2, label="whole call")
    panel.set_yticks(
        range(len(bars)), [f"{group} people, {target} x {n}" for group, target, n in bars]
    )
    panel.invert_yaxis()
    panel.set(xlabel="ms a request, steps beside each other added up; pale: waiting in the queue")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


def _rois(result: Result) -> Any:
    slices = slices_of(result)
    figure, panel = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in (ONE_CALLER, SERVER):
        found = {
            int(group): metrics.latencies(of_kind(slices, group, name, 1))
            for group in groups_of(slices)
        }
        answered = {rois: spread for rois, spread in found.items() if spread}
        _spread_line(panel, list(answered), list(answered.values()), name)
    panel.set(xlabel="rois in the request", ylabel="latency, ms", ylim=(0, None))
    panel.legend()
    return figure


def _latencies(result: Result, title: str) -> Any:
    """Latency of every target, one panel for each group, four in a row."""
    slices = slices_of(result)
    groups, kinds = groups_of(slices), kinds_of(slices)
    columns = min(PANELS, len(groups))
    rows = -(-len(groups) // columns)
    figure, panels = plt.subplots(
        rows,
        columns,
        figsize=(4 * columns + 2, rows * (0.35 * len(kinds) + 1.4)),
        squeeze=False,
        layout="constrained",
    )
    for unused in panels.flat[len(groups) :]:
        unused.remove()
    for panel, group in zip(panels.flat, groups, strict=False):
        for row, kind in enumerate(kinds):
            spread = metrics.latencies(of_kind(slices, group, *kind))
            if spread:
                _spread_bar(panel, row, spread, highlighted=kind[0] == SERVER)
                digits = 0 if spread.median >= 10 else 2
                panel.text(spread.high, row, f" {spread.median:.{digits}f}", va="center")
        panel.set_yticks(range(len(kinds)), [name for name, _ in kinds])
        panel.invert_yaxis()
        panel.margins(x=0.2)
        panel.set(title=title.format(group), xlabel="latency, ms")
    return figure


def _memory(result: Result) -> Any:
    """Proportional size by process, one bar for each look; those at rest are named."""
    samples = result["samples"]
    figure, panel = plt.subplots(figsize=(9, 4.5), layout="constrained")
    places, bottom = range(len(samples)), np.zeros(len(samples))
    colours = plt.get_cmap("tab20")
    names = dict.fromkeys(name for one in samples for name in one["processes"])
    for number, name in enumerate(names):
        sizes = np.array([one["processes"].get(name, {}).get("pss_mb", 0.0) for one in samples])
        panel.bar(places, sizes, bottom=bottom, width=1.0, label=name, color=colours(number))
        bottom += sizes
    stages = {row: one["stage"] for row, one in enumerate(samples) if one["stage"] != UNDER_LOAD}
    panel.set_xticks(list(stages), list(stages.values()))
    panel.set(
        xlabel="between them: under load, ever longer apart",
        ylabel="MB (PSS: what processes share is counted once)",
    )
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", reverse=True)
    return figure


_DRAWN: dict[str, Callable[[Result], Any]] = {
    "direct": _throughput,
    "server": _throughput,
    "ensemble": partial(_throughput, title="{}"),
    "steps": _steps,
    "rois": _rois,
    "peers": partial(_latencies, title="people: {}"),
    "runtimes": partial(_latencies, title="{}"),
    "memory": _memory,
    "versions": partial(_latencies, title="threads: {}"),
}


def _spread_line(panel: Any, places: list[int], found: list[metrics.Spread], name: str) -> None:
    (line,) = panel.plot(places, [spread.median for spread in found], "o-", label=name)
    lows, highs = [spread.low for spread in found], [spread.high for spread in found]
    panel.fill_between(places, lows, highs, color=line.get_color(), alpha=0.2)


def _spread_bar(panel: Any, row: int, spread: metrics.Spread, *, highlighted: bool) -> None:
    errors = [[spread.median - spread.low], [spread.high - spread.median]]
    colour = "tab:orange" if highlighted else "tab:blue"
    panel.barh(row, spread.median, xerr=errors, color=colour)
