"""Results are written, read and drawn from the JSON alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks.speed.load import Slice
from benchmarks.speed.memory import MemorySample
from benchmarks.speed.peers import DETECTOR_AND_UNET, MASK_RCNN_TORCH
from benchmarks.speed.report import PAGE, TITLES
from benchmarks.speed.result import (
    make_result,
    slices_of,
    without_place,
    write_result,
)
from benchmarks.speed.runtimes import compare_heads
from benchmarks.speed.saving import save
from benchmarks.speed.steps import StepSample, per_request
from benchmarks.speed.targets import MANY_CALLERS, ONE_CALLER, SERVER
from peopleseg.cli.main import main

KINDS = ((ONE_CALLER, 1, 20), (MANY_CALLERS, 2, 25), (SERVER, 1, 22), (SERVER, 4, 80))


def slices(groups: tuple[str, ...], slower_ms: int = 0) -> list[Slice]:
    return [
        Slice(target, group, callers, number, 0.5, calls(ms + slower_ms, number), {})
        for number in range(3)
        for group in groups
        for target, callers, ms in KINDS
    ]


def calls(ms: int, number: int) -> list[tuple[float, float]]:
    return [(0.0, float(ms + number)), (200.0, 200.0 + ms)]


RUNTIME_MS = {  # by network and runtime
    ("lite x 5", "onnxruntime"): 10,
    ("lite x 5", "torch"): 20,
    ("full x 5", "onnxruntime"): 80,
    ("full x 5", "torch"): 100,
}


def runtime_slices() -> list[Slice]:
    return [
        Slice(runtime, group, 1, number, 1.0, [(0.0, float(ms))], {})
        for number in range(3)
        for (group, runtime), ms in RUNTIME_MS.items()
    ]


def metrics_of_runtimes() -> dict[str, Any]:
    gap = {"mask_logits": {"max": 0.00012, "mean": 1e-5, "magnitude": 1.0}}
    return {
        "networks": {},
        "left_out": {"torch_compile": "there is no g++"},
        "differences": {group: {"torch": gap} for group, _ in RUNTIME_MS},
        "heads": compare_heads(runtime_slices(), ["lite", "full"], [5]),
    }


VERSION_MS = {("deeplab/1", "1"): 40, ("deeplab/2", "1"): 26, ("deeplab/1", "2"): 30}
VERSION_MS |= {("deeplab/2", "2"): 24}


def version_slices() -> list[Slice]:
    return [
        Slice(version, threads, 1, number, 1.0, [(0.0, float(ms + number))], {})
        for number in range(3)
        for (version, threads), ms in VERSION_MS.items()
    ]


def metrics_of_versions() -> dict[str, Any]:
    described = {
        "precision": "fp32",
        "weights": "fp16",
        "accelerator": "cpu",
        "accuracy": {"miou": 0.5},
        "accuracy_data": "",
        "accuracy_gate": {},
    }
    sizes = {"deeplab/1": (13_000_000, 6_831_509, 80), "deeplab/2": (5_200_000, 2_516_853, 60)}
    return {
        "versions": {
            name: {"bytes": size, "parameters": parameters, **described}
            for name, (size, parameters, _) in sizes.items()
        },
        "memory": [
            {
                "version": name,
                "round": number,
                "before": 50 << 20,
                "peak": (50 + megabytes + number) << 20,
                "steady": (50 + megabytes) << 20,
            }
            for number in range(3)
            for name, (_, _, megabytes) in sizes.items()
        ],
    }


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/home/me/data/people/val", "people/val"),
        ("../data/people/person_val.json", "people/person_val.json"),
        ("data/people/val", "data/people/val"),
        ("--seconds", "--seconds"),
        ("2", "2"),
    ],
)
def test_a_command_does_not_say_where_data_lay(argument: str, shown: str) -> None:
    assert without_place(argument) == shown


def samples_of(benchmark: str) -> Sequence[Any]:
    if benchmark == "memory":
        sizes = {"tritonserver": {"rss_mb": 111.0, "pss_mb": 99.0}}
        more = {**sizes, "yolov9": {"rss_mb": 50.0, "pss_mb": 33.0}}
        looks = (
            *(("at rest", sizes), ("under load", more), ("under load", sizes)),
            *(("after 10 requests", sizes), ("after 20 requests", more)),
        )
        return [MemorySample(stage, 0, processes) for stage, processes in looks]
    if benchmark == "steps":
        parts = {"queue": 1.0, "compute_input": 2.0, "compute_infer": 30.0, "compute_output": 4.0}
        moved = {"yolov9": {"read": 1_234_000, "written": 2_000_000}}
        direct = {"yolov9": {"compute_infer": 28.0}}
        return [
            StepSample(ONE_CALLER, "5", 1, 0, 28.0, direct, tensor_bytes=moved),
            StepSample(SERVER, "5", 4, 0, 39.5, {"yolov9": parts}),
        ]
    if benchmark == "runtimes":
        return runtime_slices()
    if benchmark == "versions":
        return version_slices()
    if benchmark == "rois":
        return [*slices(("0", "1", "64")), *slices(("10",), slower_ms=11)]
    return slices(("1", "5", "10+"))


def metrics_of(benchmark: str) -> dict[str, Any] | None:
    made = {"runtimes": metrics_of_runtimes, "versions": metrics_of_versions}
    return made[benchmark]() if benchmark in made else None


def result_of(benchmark: str) -> dict[str, Any]:
    return make_result(
        benchmark,
        samples_of(benchmark),
        {},
        threads=2,
        versions={"yolov9": 3},
        metrics=metrics_of(benchmark),
        triton="2.51.0",
    )


def test_slices_survive_the_file(tmp_path: Path) -> None:
    path = write_result(tmp_path, result_of("server"))
    read = slices_of(json.loads(path.read_text()))
    assert [one.latencies_ms for one in read] == [
        one.latencies_ms for one in slices(("1", "5", "10+"))
    ]
    assert [one.rate for one in read] == [one.rate for one in slices(("1", "5", "10+"))]


def test_a_result_says_what_it_depends_on() -> None:
    result = result_of("direct")
    assert result["threads"] == 2 and result["versions"] == {"yolov9": 3}
    assert {"python", "onnxruntime", "triton"} <= set(result["software"])
    assert result["machine"]["processor"] and result["machine"]["cores"] >= 1
    assert result["commit"] and result["device"] == "cpu"


@pytest.mark.parametrize(
    ("benchmark", "row"),
    [
        ("direct", "| 5 | direct_many_callers | 2 | "),
        ("server", "| 10+ | server | 4 | "),
        ("steps", "| 5 | server | 4 | yolov9 | 1.00 | 2.00 | 30.00 | 4.00 | 1.23 | 2.00 |"),
        ("rois", "| 64 | 20.5 (20.0-21.0) | 22.5 (22.0-23.0) | 0.91 (0.91-0.91) |"),
        ("peers", "| 1 | server | 22.5 "),
        (
            "runtimes",
            "| full x 5 | torch | 100.00 (100.00-100.00) | 0.80 (0.80-0.80) | mask_logits 0.0001 "
            "| 20.00 | 5.00 (5.00-5.00) |",
        ),
        ("runtimes", "Left out: torch_compile. there is no g++"),
        ("memory", "| **all, PSS** | 99 | 132 | 99 | 132 |"),
        (
            "versions",
            "| deeplab/2 | fp32, stored fp16, for cpu | 5,200,000 | 0.40 | 2,516,853 | 0.37 "
            "| miou 0.500 | - |",
        ),
        ("versions", "| deeplab/2 | 1 | 27.00 (26.00-28.00) | 0.66 (0.65-0.67) | 3 |"),
        (
            "versions",
            "| deeplab/2 | 61.0 (60.0-62.0) | 0.75 (0.75-0.76) | 60.0 (60.0-60.0) "
            "| 0.75 (0.75-0.75) |",
        ),
    ],
)
def test_a_result_is_printed_as_a_table(
    benchmark: str, row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert save(tmp_path, result_of(benchmark)) == 0
    printed = capsys.readouterr().out
    assert any(line.startswith(row) for line in printed.splitlines()), printed


def test_failed_calls_are_told_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = result_of("server")
    result["samples"][0]["failures"] = {"Overloaded": 3}
    result["samples"][5]["failures"] = {"Overloaded": 4}
    assert save(tmp_path, result) == 1
    assert "7 calls failed: Overloaded" in capsys.readouterr().err
    assert (tmp_path / "server.json").is_file()


def test_tables_and_plots_of_every_result_are_made_from_the_files(tmp_path: Path) -> None:
    for benchmark in TITLES:
        write_result(tmp_path, result_of(benchmark))
    assert main(["bench", "report", "--results", str(tmp_path)]) == 0
    page = (tmp_path / PAGE).read_text()
    for benchmark, title in TITLES.items():
        assert f"## {title}" in page and f"({benchmark}.png)" in page
        image = cv2.imread(str(tmp_path / f"{benchmark}.png"))
        assert image is not None and image.std() > 5
    assert "versions: yolov9 3" in page


def test_the_page_begins_with_what_the_results_come_to(tmp_path: Path) -> None:
    peers = result_of("peers")
    for sample in list(peers["samples"]):
        for name in (MASK_RCNN_TORCH, DETECTOR_AND_UNET):
            if sample["target"] == ONE_CALLER:
                peers["samples"].append(sample | {"target": name})
    server = result_of("server")
    for sample in server["samples"]:
        if sample["target"] == MANY_CALLERS:
            sample["calls_ms"] = 2 * sample["calls_ms"]  # twice as many answers
    for result in (*map(result_of, ("rois", "runtimes", "memory", "versions")), server, peers):
        write_result(tmp_path, result)
    assert main(["bench", "report", "--results", str(tmp_path)]) == 0
    in_short = (tmp_path / PAGE).read_text().split("## ")[1]
    for line in (
        "| 5 people: throughput of 4 callers / the limit | 0.50 (0.50-0.50) |",
        "| 5 people: throughput of 4 callers / called directly one by one | 1.00 (1.00-1.00) |",
        "| 1 person: latency called directly / of one caller | 0.91 (0.91-0.91) |",
        "| latency with 10 rois / with 1 | 1.49 (1.48-1.50) |",
        "| 5 people: throughput / Mask R-CNN R50-FPN in PyTorch's | 1.00 (1.00-1.00) |",
        "| 5 people: time / that of the detector and the UNet alone | 1.00 (1.00-1.00) |",
        "| time of the head full / of the served, rois 5 | 8.00 (8.00-8.00) |",
        "| memory of all processes after 10 requests | 99 MB |",
        "| memory after 20 requests / after 10 requests | 1.333 |",
        "| latency of deeplab/2 / of deeplab/1, threads 2 | 0.81 (0.80-0.81) |",
        "| parameters of deeplab/2 / of deeplab/1 | 0.37 |",
    ):
        assert line in in_short


def test_no_result_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "report", "--results", str(tmp_path)]) == 1
    assert "has no result" in capsys.readouterr().err


def test_a_file_that_is_no_result_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.json").write_text('{"roi_miou": 0.6}')
    assert main(["bench", "report", "--results", str(tmp_path)]) == 1
    assert "server.json is not a result of `peopleseg bench server`" in capsys.readouterr().err


def test_statistics_are_of_the_requests_between_two_looks() -> None:
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    before = dict.fromkeys(parts, (10, 5_000_000))
    after = {**dict.fromkeys(parts, (14, 13_000_000)), "compute_output": (10, 5_000_000)}
    assert per_request(before, after) == {
        **dict.fromkeys(parts, 2.0),
        "compute_output": 0.0,
    }
