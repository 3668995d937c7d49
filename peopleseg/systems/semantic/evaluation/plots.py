"""Which classes are taken for which, as a picture."""

import io
from pathlib import Path

import matplotlib
import numpy as np

from peopleseg.labels.files import write_atomically
from peopleseg.systems.semantic.evaluation.metrics import Confusion

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)

INCHES_A_CLASS, INCHES_OF_NAMES = 0.35, 2.5
DPI = 120
SHOWN_FROM = 0.005  # share of a class; smaller ones have no number


def draw_confusion(confusion: Confusion, file: Path) -> None:
    """Write a PNG of the classes that are there or found, whole or not at all. Raises OSError.

    A row is a true class, and its cells what share of its pixels is found as which class.
    """
    pixels = confusion.pixels
    chosen = np.flatnonzero(pixels.sum(axis=0) + pixels.sum(axis=1))
    counts = pixels[np.ix_(chosen, chosen)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [confusion.names[number] for number in chosen]
    side = INCHES_A_CLASS * len(names) + INCHES_OF_NAMES
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="found", ylabel="true", title="share of a true class, %")
    for (row, column), share in np.ndenumerate(shares):
        if share >= SHOWN_FROM:
            colour = "white" if share > 0.5 else "black"
            number, centred = f"{100 * share:.0f}", "center"
            axes.text(column, row, number, ha=centred, va=centred, fontsize=7, color=colour)
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI)
    plt.close(figure)
    write_atomically(file, png.getvalue())
