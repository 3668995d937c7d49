"""What the results come to, in a few lines: the metrics that people choose a server by."""

from collections.abc import Iterable, Mapping
from statistics import median

from benchmarks.speed import metrics
from benchmarks.speed.memory import AT_REST, UNDER_LOAD
from benchmarks.speed.metrics import Spread, groups_of, of_kind, spread_text
from benchmarks.speed.peers import (
    DETECTOR_AND_UNET,
    MASK_RCNN_ONNX,
    MASK_RCNN_TORCH,
    OTHER_REPOSITORY,
    YOLO_SEG,
)
from benchmarks.speed.result import Result, slices_of
from benchmarks.speed.targets import ONE_CALLER, SERVER
from benchmarks.speed.version_tables import ratio_text
from peopleseg.systems.people.evaluation.page import as_table

Line = tuple[str, str]  # what, and how much
LOADED = 4  # callers
FEW, MANY = "1", "10"  # rois, between which the latency grows


def summary(results: Mapping[str, Result]) -> list[str]:
    """A heading and a Markdown table of what these results, by benchmark, come to."""
    lines: list[Line] = []
    for name, lines_of in _LINES.items():
        if name in results:
            lines += lines_of(results[name])
    return ["## In short", as_table(("metric", "measured"), lines)] if lines else []


def _of_server(result: Result) -> Iterable[Line]:
    slices = slices_of(result)
    limits = {group: metrics.limit(slices, group) for group in groups_of(slices)}
    one_by_one = {group: of_kind(slices, group, ONE_CALLER, 1) for group in groups_of(slices)}
    for than, directly in (("the limit", limits), ("called directly one by one", one_by_one)):
        for group, others in directly.items():
            if loaded := of_kind(slices, group, SERVER, LOADED):
                ratio = metrics.throughput_ratio(loaded, others)
                yield (
                    f"{_people(group)}: throughput of {LOADED} callers / {than}",
                    spread_text(ratio),
                )
    for group, others in one_by_one.items():
        if single := of_kind(slices, group, SERVER, 1):
            ratio = metrics.latency_ratio(single, others)
            yield f"{_people(group)}: latency called directly / of one caller", spread_text(ratio)


def _of_peers(result: Result) -> Iterable[Line]:
    slices = slices_of(result)
    for group in groups_of(slices):
        server = of_kind(slices, group, SERVER, 1)
        direct = of_kind(slices, group, ONE_CALLER, 1)
        for peer, what, first, second in (
            (MASK_RCNN_TORCH, "throughput / Mask R-CNN R50-FPN in PyTorch's", server, None),
            (MASK_RCNN_ONNX, "throughput / Mask R-CNN R50-FPN in ONNX Runtime's", server, None),
            (YOLO_SEG, "time called directly / that of the YOLO segmenter", None, direct),
            (OTHER_REPOSITORY, "time called directly / that of the other repository", None, direct),
            (DETECTOR_AND_UNET, "time / that of the detector and the UNet alone", None, server),
        ):
            if theirs := of_kind(slices, group, peer, 1):
                ratio = metrics.throughput_ratio(first or theirs, second or theirs)
                yield f"{_people(group)}: {what}", spread_text(ratio)


def _of_rois(result: Result) -> Iterable[Line]:
    slices = slices_of(result)
    few, many = (of_kind(slices, group, SERVER, 1) for group in (FEW, MANY))
    if few and many:
        growth = metrics.latency_ratio(few, many)
        yield f"latency with {MANY} rois / with {FEW}", spread_text(growth)


def _of_runtimes(result: Result) -> Iterable[Line]:
    for one in result["metrics"]["heads"]:
        if one["runtime"] == "onnxruntime" and one["times_first"][0] != 1:
            times = Spread(*one["times_first"])
            yield (
                f"time of the head {one['network']} / of the served, rois {one['rois']}",
                spread_text(times),
            )


def _of_memory(result: Result) -> Iterable[Line]:
    sums: dict[str, list[float]] = {}
    for sample in result["samples"]:
        total = sum(process["pss_mb"] for process in sample["processes"].values())
        sums.setdefault(sample["stage"], []).append(total)
    after = [stage for stage in sums if stage not in (AT_REST, UNDER_LOAD)]
    first, last = after[0], after[-1]
    yield f"memory of all processes {first}", f"{median(sums[first]):.0f} MB"
    if last != first:
        yield f"memory {last} / {first}", f"{median(sums[last]) / median(sums[first]):.3f}"


def _of_versions(result: Result) -> Iterable[Line]:
    slices = slices_of(result)
    described = result["metrics"]["versions"]
    first, *others = described
    for name in others:
        for group in groups_of(slices):
            ours, theirs = (of_kind(slices, group, one, 1) for one in (name, first))
            ratio = spread_text(metrics.latency_ratio(theirs, ours))
            yield f"latency of {name} / of {first}, threads {group}", ratio
        for what in ("bytes", "parameters"):
            share = ratio_text(described[name][what], described[first][what])
            yield f"{what} of {name} / of {first}", share


_LINES = {
    "server": _of_server,
    "rois": _of_rois,
    "peers": _of_peers,
    "runtimes": _of_runtimes,
    "memory": _of_memory,
    "versions": _of_versions,
}


def _people(group: str) -> str:
    return f"{group} {'person' if group == '1' else 'people'}"
