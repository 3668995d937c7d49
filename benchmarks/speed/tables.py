"""A result as a Markdown table."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median
from typing import Any

from benchmarks.speed import metrics
from benchmarks.speed.metrics import Spread, groups_of, kinds_of, of_kind, spread_text
from benchmarks.speed.result import Result, slices_of
from benchmarks.speed.targets import ONE_CALLER, SERVER
from benchmarks.speed.version_tables import versions_table
from peopleseg.systems.people.evaluation.page import as_table

PARTS = {"queue": "waiting", "compute_input": "in", "compute_infer": "computing"}
PARTS |= {"compute_output": "out"}


def heading(result: Result) -> str:
    """What was measured, on what and with what."""
    machine, software = result["machine"], result["software"]
    steps = ", ".join(f"{step} {number}" for step, number in result["versions"].items())
    tools = ", ".join(f"{name} {number}" for name, number in software.items())
    gpu = f"; {machine['gpu']}, driver {machine['driver']}" if "gpu" in machine else ""
    return (
        f"`{result['command']}`\n\n"
        f"{machine['processor']}, {result['threads']} of {machine['cores']} cores, "
        f"{machine['memory_gb']} GB{gpu}; {tools}; commit {result['commit'][:12]}; "
        f"{result['time'][:10]}{f'; versions: {steps}' if steps else ''}."
    )


def throughput_table(result: Result, group_is: str = "people") -> str:
    """Of `direct`, `server` and `ensemble`: every group and kind of load, and the ratio to the
    limit.
    """
    slices = slices_of(result)
    rows = []
    for group in groups_of(slices):
        best = metrics.limit(slices, group)
        one = of_kind(slices, group, ONE_CALLER, 1)
        for target, callers in kinds_of(slices):
            ours = of_kind(slices, group, target, callers)
            rows.append(
                [
                    group,
                    target,
                    callers,
                    spread_text(metrics.rates(ours)),
                    spread_text(metrics.throughput_ratio(ours, best)),
                    spread_text(metrics.latencies(ours), 1),
                    f"{metrics.percentile(ours, 95):.1f}",
                    spread_text(metrics.latency_ratio(ours, one)) if callers == 1 else "",
                    sum(len(slice_.calls_ms) for slice_ in ours),
                ]
            )
    head = (group_is, "target", "callers", "images/s", "/ limit", "latency, ms", "p95, ms")
    return as_table((*head, "direct's latency / this", "calls"), rows)


def steps_table(result: Result) -> str:
    """Of `steps`: medians over the rounds of each step's parts, and its bytes."""
    rows = []
    for group, target, callers in dict.fromkeys(map(_key, result["samples"])):
        ours = [one for one in result["samples"] if _key(one) == (group, target, callers)]
        for step in ours[0]["steps"]:
            parts = [step_median(ours, step, part) for part in PARTS]
            moved = direct_bytes(result, group).get(step, {})
            size = [f"{moved[way] / 1e6:.2f}" if moved else "" for way in ("read", "written")]
            times = ["" if ms is None else f"{ms:.2f}" for ms in parts]
            rows.append([group, target, callers, step, *times, *size])
        latency = median(one["latency_ms"] for one in ours)
        rows.append(
            [group, target, callers, "**whole call**", "", "", f"{latency:.2f}", "", "", ""]
        )
    head = ("people", "target", "callers", "step", *(f"{name}, ms" for name in PARTS.values()))
    return as_table((*head, "read, MB", "written, MB"), rows)


def rois_table(result: Result) -> str:
    """Of `rois`: latency by the number of rois."""
    slices, rows = slices_of(result), []
    for group in groups_of(slices):
        direct, server = (of_kind(slices, group, name, 1) for name in (ONE_CALLER, SERVER))
        rows.append(
            [
                group,
                spread_text(metrics.latencies(direct), 1),
                spread_text(metrics.latencies(server), 1),
                spread_text(metrics.latency_ratio(server, direct)),
            ]
        )
    return as_table(("rois", "direct, ms", "server, ms", "direct / server"), rows)


def peers_table(result: Result) -> str:
    """Of `peers`: how many times as fast the server is as each."""
    slices, rows = slices_of(result), []
    for group in groups_of(slices):
        server = of_kind(slices, group, SERVER, 1)
        for target, callers in kinds_of(slices):
            theirs = of_kind(slices, group, target, callers)
            rows.append(
                [
                    group,
                    target,
                    spread_text(metrics.latencies(theirs), 1),
                    spread_text(metrics.rates(theirs)),
                    spread_text(metrics.throughput_ratio(server, theirs)),
                ]
            )
    head = ("people", "target", "latency, ms", "images/s", "server is faster, times")
    return as_table(head, rows)


def runtimes_table(result: Result) -> str:
    """Of `runtimes`: every network by every runtime, heads also by the person; what is left out."""
    slices, found = slices_of(result), result["metrics"]
    runtimes = list(dict.fromkeys(one.target for one in slices))
    heads = {(one["group"], one["runtime"]): one for one in found["heads"]}
    rows = []
    for group in groups_of(slices):
        first = of_kind(slices, group, runtimes[0], 1)
        for runtime in runtimes:
            ours = of_kind(slices, group, runtime, 1)
            shared = heads.get((group, runtime))
            differences = found["differences"][group].get(runtime, {})
            rows.append(
                [
                    group,
                    runtime,
                    spread_text(metrics.latencies(ours)),
                    spread_text(metrics.latency_ratio(ours, first)),
                    ", ".join(f"{name} {gap['max']:.1g}" for name, gap in differences.items()),
                    f"{shared['ms_a_person']:.2f}" if shared else "",
                    spread_text(Spread(*shared["times_first"])) if shared else "",
                ]
            )
    head_names = dict.fromkeys(one["network"] for one in found["heads"])
    head = ("network x images or rois", "runtime", "latency, ms", f"{runtimes[0]}'s / this")
    of_heads = ("ms a person", f"times {next(iter(head_names), 'a head')}'s")
    left_out = (f"Left out: {name}. {reason}" for name, reason in found["left_out"].items())
    table = as_table((*head, "largest difference", *of_heads), rows)
    return "\n\n".join((table, *left_out))


def memory_table(result: Result) -> str:
    """Of `memory`: megabytes of each process, the largest where there were several looks."""
    looks: dict[str, list[dict[str, dict[str, float]]]] = {}
    for sample in result["samples"]:
        looks.setdefault(sample["stage"], []).append(sample["processes"])
    names = dict.fromkeys(name for found in looks.values() for one in found for name in one)
    rows = [
        [name, *(f"{_largest(found, [name], 'rss_mb'):.0f}" for found in looks.values())]
        for name in names
    ]
    for label, size in (("**all, RSS**", "rss_mb"), ("**all, PSS**", "pss_mb")):
        rows.append([label, *(f"{_largest(found, names, size):.0f}" for found in looks.values())])
    return as_table(("process, RSS in MB", *looks), rows)


TABLES: dict[str, Callable[[Result], str]] = {
    "direct": throughput_table,
    "server": throughput_table,
    "ensemble": partial(throughput_table, group_is="request"),
    "steps": steps_table,
    "rois": rois_table,
    "peers": peers_table,
    "runtimes": runtimes_table,
    "memory": memory_table,
    "versions": versions_table,
}


def step_median(samples: Sequence[dict[str, Any]], step: str, part: str) -> float | None:
    """Milliseconds over the rounds; None for a part that was not measured."""
    found = [one["steps"][step][part] for one in samples if part in one["steps"][step]]
    return median(found) if found else None


def direct_bytes(result: Result, group: str) -> dict[str, dict[str, int]]:
    """Bytes that each step reads and writes for an image of the group."""
    for sample in result["samples"]:
        if sample["group"] == group and sample["tensor_bytes"]:
            return dict(sample["tensor_bytes"])
    return {}


def _key(sample: dict[str, Any]) -> tuple[str, str, int]:
    return sample["group"], sample["target"], sample["callers"]


def _largest(
    looks: Sequence[dict[str, dict[str, float]]], names: Iterable[str], size: str
) -> float:
    chosen = list(names)
    return max(sum(look[name][size] for name in chosen if name in look) for look in looks)
