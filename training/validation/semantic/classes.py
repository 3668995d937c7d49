"""A table of the IoU of each class over checkpoints, for a terminal."""

from collections.abc import Sequence

from peopleseg.systems.semantic.evaluation.metrics import ENOUGH_IMAGES, Confusion

WEAKEST = "<"


def class_tables(names: Sequence[str], confusions: Sequence[Confusion]) -> str:
    """A table for each set of classes; the weakest class of each checkpoint has WEAKEST behind it.

    A class in fewer than ENOUGH_IMAGES images is named below it, without a figure.
    """
    by_classes: dict[tuple[str, ...], list[tuple[str, Confusion]]] = {}
    for name, confusion in zip(names, confusions, strict=True):
        by_classes.setdefault(tuple(confusion.names), []).append((name, confusion))
    return "\n\n".join(_table(columns) for columns in by_classes.values())


def _table(columns: Sequence[tuple[str, Confusion]]) -> str:
    first = columns[0][1]
    counts = dict(zip(first.names, first.seen_in.tolist(), strict=True))
    told = [name for name, count in counts.items() if count >= ENOUGH_IMAGES]
    few = [f"{name} ({count})" for name, count in counts.items() if 0 < count < ENOUGH_IMAGES]
    lines = []
    if told:
        rows = zip(told, *(_shown(confusion, told) for _, confusion in columns), strict=True)
        numbers = [f"{number} " for number in range(1, len(columns) + 1)]
        cells = [[name, str(counts[name]), *ious] for name, *ious in rows]
        lines += _aligned([["IoU of", "images", *numbers], *cells])
        lines += [f"{number}: {name}" for number, (name, _) in enumerate(columns, start=1)]
        lines.append(f"{WEAKEST} the weakest class of a checkpoint")
    if few:
        lines.append(f"in fewer than {ENOUGH_IMAGES} images, too few to tell: {', '.join(few)}")
    return "\n".join(lines)


def _shown(confusion: Confusion, classes: Sequence[str]) -> list[str]:
    """The IoU of each of the classes."""
    ious = dict(zip(confusion.names, confusion.ious().tolist(), strict=True))
    weakest = min(classes, key=ious.__getitem__)
    return [f"{ious[name]:.4f}{WEAKEST if name == weakest else ' '}" for name in classes]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        " ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
