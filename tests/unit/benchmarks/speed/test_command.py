"""`peopleseg bench`: its help, its wrong usage, what it imports, and the CPUs it takes."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.speed.command import COMMANDS
from benchmarks.speed.memory import name_of, resident
from benchmarks.speed.options import confined_to
from peopleseg.cli.main import main


def test_help_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and summary in printed for name, (_, summary) in COMMANDS.items())


@pytest.mark.parametrize("benchmark", COMMANDS)
def test_help_of_a_benchmark_teaches(benchmark: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", benchmark, "--help"]) == 0
    assert f"  peopleseg bench {benchmark}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["server"], ["rois", "--rois=65"], ["direct", "--threads=0"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert "peopleseg bench" in said.out + said.err


@pytest.mark.parametrize("content", ["no JSON", "{}"])
def test_annotations_that_are_none_are_named(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "people.json"
    file.write_text(content)
    options = ["--images", str(tmp_path), "--annotations", str(file)]
    assert main(["bench", "direct", *options]) == 1
    assert str(file) in capsys.readouterr().err


def test_torch_and_matplotlib_are_not_imported_before_they_are_needed(root: Path) -> None:
    code = (
        "import sys; from peopleseg.cli.main import main; main(['bench', 'peers', '--help']);"
        "found = {'torch', 'matplotlib', 'lightning'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)


def test_processors_are_confined_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with confined_to(1):
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(os.sched_getaffinity(0)) == int(child.stdout) == 1
    assert os.sched_getaffinity(0) == before


def test_the_memory_of_every_process_of_a_group_is_read() -> None:
    code = "import time; filled = bytearray(b'x' * 50_000_000); print(len(filled), flush=True); "
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}time.sleep(60)", "yolov9_0_0"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            sizes = resident(process.pid)
        finally:
            process.kill()
    assert list(sizes) == ["yolov9"]
    assert 48 < sizes["yolov9"]["pss_mb"] <= sizes["yolov9"]["rss_mb"] < 200


def test_a_second_instance_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    process = psutil.Process()
    for argument, name in (("yolov9_0_0", "yolov9"), ("roi_align_features_0_1", None)):
        monkeypatch.setattr(process, "cmdline", lambda argument=argument: ["stub", argument])
        assert name_of(process) == (name or argument)
