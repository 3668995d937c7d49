"""The result of `peopleseg bench versions` as Markdown tables: every column beside the first's."""

from typing import Any

from benchmarks.speed import metrics
from benchmarks.speed.metrics import Spread, groups_of, of_kind, spread_text
from benchmarks.speed.result import Result, slices_of
from peopleseg.systems.people.evaluation.page import as_table, shown


def versions_table(result: Result) -> str:
    """Of `versions`: what each is, how long it takes and what memory it adds, / the first's."""
    return "\n\n".join((_what_they_are(result), _how_long(result), _memory_added(result)))


def added(result: Result, version: str, size: str) -> list[int]:
    """Bytes that a version adds to its process, by round. size: peak or steady."""
    looks = [one for one in result["metrics"]["memory"] if one["version"] == version]
    return [one[size] - one["before"] for one in looks]


def _what_they_are(result: Result) -> str:
    described = result["metrics"]["versions"]
    first = next(iter(described.values()))
    rows = [
        (
            name,
            f"{one['precision']}, stored {one['weights']}, for {one['accelerator']}",
            f"{one['bytes']:,}",
            ratio_text(one["bytes"], first["bytes"]),
            f"{one['parameters']:,}" if one["parameters"] else "-",
            ratio_text(one["parameters"], first["parameters"]),
            _accuracy(one),
            one["accuracy_data"] or "-",
        )
        for name, one in described.items()
    ]
    head = ("version", "precision", "bytes", "/ first", "parameters", "/ first")
    return as_table((*head, "accuracy, by its manifest", "measured on"), rows)


def _accuracy(version: dict[str, Any]) -> str:
    """Of the checkpoint; where computing in less was allowed for its metric, that too."""
    found = [f"{name} {shown(value)}" for name, value in version["accuracy"].items()]
    if gate := version["accuracy_gate"]:
        lower, before, after = version["precision"], shown(gate["before"]), shown(gate["after"])
        found.append(f"{gate['metric']} {before} before {lower}, {after} after")
    return ", ".join(found) or "-"


def _how_long(result: Result) -> str:
    slices, rows = slices_of(result), []
    names = list(result["metrics"]["versions"])
    for group in groups_of(slices):
        first = of_kind(slices, group, names[0], 1)
        for name in names:
            ours = of_kind(slices, group, name, 1)
            rows.append(
                (
                    name,
                    group,
                    spread_text(metrics.latencies(ours)),
                    spread_text(metrics.latency_ratio(first, ours)),
                    sum(len(slice_.calls_ms) for slice_ in ours),
                )
            )
    return as_table(("version", "threads", "latency, ms", "/ first", "calls"), rows)


def _memory_added(result: Result) -> str:
    first, *_ = names = list(result["metrics"]["versions"])
    rows = []
    for name in names:
        row = [name]
        for size in ("peak", "steady"):
            ours, theirs = added(result, name, size), added(result, first, size)
            ratios = [a / b for a, b in zip(ours, theirs, strict=True) if b > 0]
            row.append(spread_text(Spread.of(one / 2**20 for one in ours), 1))
            row.append(spread_text(Spread.of(ratios) if ratios else None))
        rows.append(row)
    head = ("version", "adds at its peak, MB", "/ first", "adds for good, MB", "/ first")
    return as_table(head, rows)


def ratio_text(ours: int | None, theirs: int | None) -> str:
    """- where either is not known."""
    return f"{ours / theirs:.2f}" if ours and theirs else "-"
