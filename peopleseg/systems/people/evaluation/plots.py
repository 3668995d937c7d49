"""The report's numbers as plots."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from peopleseg.labels.files import write_atomically
from peopleseg.systems.people.evaluation.average_precision import SIZES
from peopleseg.systems.people.evaluation.mistakes import FALSE_POSITIVES
from peopleseg.systems.people.evaluation.numbers import GROUPS, Numbers

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

WIDTH, HEIGHT = 8.0, 4.0  # inches
DPI = 120
COLOURS = {"masks": "tab:blue", "boxes": "tab:orange"}
LINES = {"precision": "tab:green", "recall": "tab:purple", "f1": "black"}
LABELS = {"f1": "F1"}  # of lines that are not called as their numbers
ROOM_FOR_NUMBERS = 0.3  # beyond the longest bar, as a part of it


def draw(numbers: Numbers, folder: Path) -> list[Path]:
    """Write a PNG for each of PLOTS, whole or not at all. Returns the files. Raises OSError."""
    files = [folder / f"{name}.png" for name in PLOTS]
    for file, plot in zip(files, PLOTS.values(), strict=True):
        figure = plot(numbers)
        png = io.BytesIO()
        figure.savefig(png, dpi=DPI)
        plt.close(figure)
        write_atomically(file, png.getvalue())
    return files


def _average_precision(numbers: Numbers) -> Any:
    """AP of masks and boxes: by size of person, by number of people of the image."""
    figure, panels = _panels(sharey=True)
    _grouped_bars(panels[0], numbers["by_size"], SIZES)
    _grouped_bars(panels[1], numbers["by_people"], tuple(GROUPS))
    panels[0].set(xlabel="size of the person (COCO's)", ylabel="AP at IoU 0.50 to 0.95")
    panels[1].set(xlabel="people in the image")
    panels[0].legend(loc="upper left")
    return figure


def _precision_recall(numbers: Numbers) -> Any:
    """Precision, recall and F1 over the score, and where F1 is best."""
    curves = numbers["curves"]
    figure, panels = _panels(len(curves), sharey=True)
    for panel, (kind, rows) in zip(panels, curves.items(), strict=True):
        for name, colour in LINES.items():
            values = [np.nan if row[name] is None else row[name] for row in rows]
            scores = [row["score"] for row in rows]
            panel.plot(scores, values, color=colour, label=LABELS.get(name, name))
        best = numbers["best_f1"][kind]
        panel.axvline(best["score"], color="grey", linestyle=":", label="score of the best F1")
        panel.set(title=f"{kind}: F1 {best['f1']:.2f} from {best['score']:.2f} on")
        panel.set(xlabel="people of at least this score", xlim=(0, 1), ylim=(0, 1.02))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"share at IoU {numbers['iou']}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _reliability(numbers: Numbers) -> Any:
    """Which share is right over the score, and how many people that rests on."""
    bins = numbers["reliability"]["bins"]
    width = 1 / len(bins)
    centres = [one["from_score"] + width / 2 for one in bins]
    figure, (upper, lower) = plt.subplots(
        2, 1, sharex=True, height_ratios=(3, 1), figsize=(WIDTH * 0.75, 5), layout="constrained"
    )
    upper.bar(centres, [one["right"] or 0 for one in bins], width * 0.9, label="measured")
    upper.plot([0, 1], [0, 1], "--", color="black", label="if a score were the share right")
    lower.bar(centres, [one["found"] for one in bins], width * 0.9, color="grey", log=True)
    for centre, one in zip(centres, bins, strict=True):
        lower.text(centre, max(one["found"], 1), one["found"], ha="center", va="bottom")
    upper.set(ylabel=f"share right ({numbers['judged_by']}, IoU {numbers['iou']})", ylim=(0, 1))
    lower.set(xlabel="score", ylabel="people found", xlim=(0, 1))
    lower.margins(y=0.3)
    upper.legend(loc="upper left")
    return figure


def _mistakes(numbers: Numbers) -> Any:
    """False positives by kind and missed people by size, from the score of the best F1 on."""
    figure, (false, missed) = _panels()
    score = numbers["best_f1"][numbers["judged_by"]]["score"]
    counts = numbers["false_positives"]
    _counted_bars(false, [_words(name) for name in FALSE_POSITIVES], list(counts.values()))
    false.set(title="false positives", xlabel=f"people found, score from {score:.2f} on")
    rows = numbers["missed"]
    of = [f"{row['missed']} of {row['people']}" for row in rows.values()]
    _counted_bars(missed, list(rows), [row["missed"] for row in rows.values()], of)
    missed.set(title="missed people", xlabel="people, by size")
    return figure


PLOTS: dict[str, Callable[[Numbers], Any]] = {
    "average_precision": _average_precision,
    "precision_recall": _precision_recall,
    "reliability": _reliability,
    "mistakes": _mistakes,
}


def _panels(count: int = 2, **options: Any) -> Any:
    figure, panels = plt.subplots(
        1, count, figsize=(WIDTH, HEIGHT), squeeze=False, layout="constrained", **options
    )
    return figure, panels[0]


def _grouped_bars(panel: Any, rows: Numbers, groups: tuple[str, ...]) -> None:
    """A bar for each kind beside each other in each group, with its number over it."""
    width = 0.8 / len(rows)
    for number, (kind, row) in enumerate(rows.items()):
        places = np.arange(len(groups)) + (number - (len(rows) - 1) / 2) * width
        values = [row[group]["ap"] for group in groups]
        bars = panel.bar(
            places, [value or 0 for value in values], width, label=kind, color=COLOURS[kind]
        )
        labels = ["nobody" if value is None else f"{value:.2f}" for value in values]
        panel.bar_label(bars, labels, fontsize="small")
    panel.set_xticks(range(len(groups)), groups)
    panel.margins(y=0.15)


def _counted_bars(
    panel: Any, names: list[str], counts: list[int], labels: list[str] | None = None
) -> None:
    bars = panel.barh(names, counts, color="tab:red")
    panel.bar_label(bars, labels or [str(count) for count in counts], padding=3)
    panel.margins(x=ROOM_FOR_NUMBERS)
    panel.invert_yaxis()


def _words(name: str) -> str:
    return name.replace("_", " ")
