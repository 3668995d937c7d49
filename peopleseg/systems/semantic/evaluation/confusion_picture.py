"""The confusion of classes as a picture."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")  # files only, no screen

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)
from PIL import Image  # noqa: E402

CELL_INCHES = 0.42
ROOM_INCHES = 2.4  # for the names
DPI = 120
SHOWN_FROM = 0.01  # of a true class; smaller shares have no number
DARK_FROM = 0.6  # on which numbers are white


def confusion_picture(pixels: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: of each true class (row), the share of its pixels found as each class.

    pixels: (classes, classes), rows are true. Classes that are neither true nor found are left out,
    unless all are; a row without a true pixel stays blank.
    """
    counted = pixels.sum(axis=0) + pixels.sum(axis=1)
    there = np.flatnonzero(counted if counted.any() else counted == 0)
    counts = pixels[np.ix_(there, there)]
    shares = counts / np.maximum(pixels.sum(axis=1)[there, None], 1)
    shown = [names[number] for number in there]
    side = ROOM_INCHES + CELL_INCHES * len(there)
    figure, panel = plt.subplots(figsize=(side, side), layout="constrained")
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    panel.set_xticks(range(len(shown)), shown, rotation=90)
    panel.set_yticks(range(len(shown)), shown)
    panel.set(xlabel="found", ylabel="true", title="percent of each true class's pixels")
    for row, column in zip(*np.nonzero(shares >= SHOWN_FROM), strict=True):
        share = shares[row, column]
        colour = "white" if share >= DARK_FROM else "black"
        panel.text(
            column, row, f"{100 * share:.0f}", color=colour, ha="center", va="center", size=7
        )
    return _pixels(figure)


def _pixels(figure: Any) -> NDArray[np.uint8]:
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI)
    plt.close(figure)
    return np.array(Image.open(png).convert("RGB"))
