"""perf_analyzer: what it is given, what it leaves, and what is said when it is not there."""

import base64
import json
import os
import struct
from pathlib import Path

import pytest

from benchmarks.speed import perf_analyzer
from benchmarks.speed.errors import MissingTool
from benchmarks.speed.perf_analyzer import (
    BASE64,
    CUDA_RUNTIME,
    PROGRAM,
    PerfAnalyzer,
    Tool,
    calls_of,
    input_data,
)
from benchmarks.speed.targets import Group, PeopleRequest
from peopleseg.cli.main import main
from peopleseg.client.errors import ServerError
from tests.data.small_repository import write_images


def write_tool(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / CUDA_RUNTIME).touch()
    (folder / BASE64).touch()
    (folder / PROGRAM).write_text(f"#!/bin/sh\n{script}\n")


def test_each_image_travels_with_its_length_in_front() -> None:
    images = [b"first", b"the second"]
    data = json.loads(json.dumps(input_data(images)))["data"]
    assert [entry["image"]["shape"] for entry in data] == [[1], [1]]
    for entry, image in zip(data, images, strict=True):
        content = base64.b64decode(entry["image"]["content"]["b64"])
        assert struct.unpack("<I", content[:4]) == (len(image),)
        assert content[4:] == image


def test_its_times_become_calls_since_the_first_one() -> None:
    begins, ends = [5_000_000_000, 5_100_000_000, 5_050_000_000], [200, 300, 150]
    requests = [
        {"timestamp": begin, "response_timestamps": [5_000_000_000 + ms * 1_000_000]}
        for begin, ms in zip(begins, ends, strict=True)
    ]
    calls = calls_of({"experiments": [{"requests": requests}]})
    assert calls.calls_ms == [(0, 200), (50, 150), (100, 300)]
    assert calls.seconds == pytest.approx(0.1)
    assert calls.failures == {}


def test_a_tool_that_runs_is_found_where_it_was_put(tmp_path: Path) -> None:
    write_tool(tmp_path / "tool", 'echo "$LD_LIBRARY_PATH"')
    tool = perf_analyzer.find_perf_analyzer(tmp_path / "tool")
    assert tool.program == tmp_path / "tool" / PROGRAM
    assert tool.environment["LD_LIBRARY_PATH"].split(":")[0] == str(tmp_path / "tool")


def test_a_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    words = f"error while loading shared libraries: {BASE64}: cannot open shared object file"
    write_tool(tmp_path / "tool", f'echo "{words}" >&2; exit 127')
    with pytest.raises(MissingTool, match="apt install libb64-0d"):
        perf_analyzer.find_perf_analyzer(tmp_path / "tool")


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    write_tool(tmp_path / "tool", "")
    (tmp_path / "tool" / PROGRAM).write_bytes(b"\x7fELF broken")
    with pytest.raises(MissingTool, match="cannot be run"):
        perf_analyzer.find_perf_analyzer(tmp_path / "tool")


def test_without_a_registry_it_says_what_is_missing_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    images, annotations = write_images(tmp_path / "images", count=1)
    arguments = ["--images", str(images), "--annotations", str(annotations)]
    folder = tmp_path / "tool"
    assert (
        main(["bench", "server", *arguments, "--perf-analyzer", f"--perf-analyzer-folder={folder}"])
        == 2
    )
    told = capsys.readouterr().err
    assert f"{folder / PROGRAM} is missing" in told and "tritonclient==2.51.0" in told
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("cut_short", "runs"), [(0, 1), (2, 3)])
def test_an_export_that_is_cut_short_is_asked_for_again(
    cut_short: int, runs: int, tmp_path: Path
) -> None:
    target, counted = tool_that_exports(tmp_path / "tool", cut_short)
    calls = target.run(Group("1", [PeopleRequest(b"image", people=1)]), seconds=1)
    assert calls.calls_ms == [(0, 50)]
    assert counted.read_text().split() == ["run"] * runs


def test_one_that_is_never_whole_is_an_error(tmp_path: Path) -> None:
    target, _ = tool_that_exports(tmp_path / "tool", cut_short=100)
    with pytest.raises(ServerError, match="without a whole export of its 2 calls"):
        target.run(Group("1", [PeopleRequest(b"image", people=1)]), seconds=1)


def tool_that_exports(folder: Path, cut_short: int) -> tuple[PerfAnalyzer, Path]:
    """A target whose program cuts its first exports short, and the file in which it counts runs."""
    counted, whole = folder / "runs", folder / "whole.json"
    script = f"""
        for one in "$@"; do
            case $one in --profile-export-file=*) file=${{one#*=}} ;; esac
        done
        echo run >> {counted}
        cp {whole} "$file"
        [ "$(wc -l < {counted})" -gt {cut_short} ] || truncate -s 30 "$file"
    """
    write_tool(folder, script)
    request = {"timestamp": 0, "response_timestamps": [50_000_000]}
    whole.write_text(json.dumps({"experiments": [{"requests": [request]}]}))
    (folder / PROGRAM).chmod(0o755)
    return PerfAnalyzer(
        Tool(folder / PROGRAM, dict(os.environ)), "localhost:8001", callers=1
    ), counted
