"""A table of metrics over checkpoints, for a terminal: one part a family, the best marked."""

import math
from collections.abc import Sequence

from training.validation.part import Row
from training.validation.parts import part_of

WIDTH = 100  # columns; where a row is wider, the checkpoint's name stands on a line of its own
BEST = "*"


def table(rows: Sequence[Row]) -> str:
    """All rows, by family; the highest of each metric in a family has BEST behind it."""
    families = dict.fromkeys(row.family for row in rows)
    return "\n\n".join(
        _part(family, [r for r in rows if r.family == family]) for family in families
    )


def _part(family: str, rows: Sequence[Row]) -> str:
    part = part_of(family)
    known = part.metrics if part else ()
    names = [name for name in known if any(name in row.metrics for row in rows)]
    best = {name: _best([row.metrics.get(name, math.nan) for row in rows]) for name in names}
    cells = [["epoch", *(f"{name} " for name in names)]]  # the blank is where BEST stands
    for row in rows:
        shown = [_shown(row.metrics.get(name, math.nan), best[name]) for name in names]
        cells.append(["-" if row.epoch is None else str(row.epoch), *shown])
    return "\n".join(_lines([family, *(row.checkpoint for row in rows)], _aligned(cells)))


def _best(values: Sequence[float]) -> float:
    """NaN where there is nothing to choose from."""
    known = [value for value in values if not math.isnan(value)]
    return max(known) if len(known) > 1 else math.nan


def _shown(value: float, best: float) -> str:
    if math.isnan(value):
        return "- "
    return f"{value:.4f}" + (BEST if value == best else " ")


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _lines(names: Sequence[str], metrics: Sequence[str]) -> list[str]:
    widest = max(map(len, names))
    if widest + 2 + max(map(len, metrics)) <= WIDTH:
        return [f"{name:{widest}}  {row}" for name, row in zip(names, metrics, strict=True)]
    return [line for name, row in zip(names, metrics, strict=True) for line in (name, f"  {row}")]
