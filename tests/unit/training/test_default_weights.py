"""What the script that trains the default weights types is accepted, and in an order that works."""

import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from peopleseg.cli.application import parse
from peopleseg.cli.main import COMMANDS
from tests.training.runs import train

SCRIPT = "training/default_weights.sh"
# In place of peopleseg: notes its arguments, and makes the file or checkpoints that they ask for.
NOTES = """#!/bin/sh
printf '%s\\0' "$@" >> "$NOTED"; printf '\\n' >> "$NOTED"
kind=$1
while [ $# -gt 0 ]; do
    case $1 in --out|--rest) if [ "$kind" = train ]
        then mkdir -p "$2"; : > "$2/last.ckpt"; : > "$2/best.ckpt"
        else : > "$2"; fi;; esac
    shift
done
"""


class Run(NamedTuple):
    """A run of the script."""

    data: Path
    out: Path
    calls: list[list[str]]  # arguments of `peopleseg`, in their order


def run_script(root: Path, folder: Path) -> Run:
    """Run it with a `peopleseg` that only takes notes."""
    bin_folder, noted = folder / "bin", folder / "noted"
    bin_folder.mkdir(exist_ok=True)
    noted.unlink(missing_ok=True)
    stand_in = bin_folder / "peopleseg"
    stand_in.write_text(NOTES)
    stand_in.chmod(0o755)
    data, out = folder / "data", folder / "out"
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "NOTED": str(noted)}
    subprocess.run(["sh", SCRIPT, data, out], cwd=root, env=environment, check=True)
    lines = noted.read_text().split("\0\n")[:-1]
    return Run(data, out, [line.split("\0") for line in lines])


@pytest.fixture(scope="module")
def first(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_script(root, tmp_path_factory.mktemp("script"))


def test_each_command_is_accepted(first: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for call in first.calls:
        if call[0] == "train":
            assert train(*call[1:], "--print_config") == 0, call
        else:
            parse(import_module(COMMANDS[call[0]][0]), call[1:])


def test_what_a_command_reads_was_there_or_is_written_before(first: Run) -> None:
    written: set[str] = set()
    for call in first.calls:
        beneath_out = {word for word in " ".join(call).split() if word.startswith(f"{first.out}/")}
        made = {call[i + 1] for i, word in enumerate(call) if word in ("--out", "--rest")}
        for name in beneath_out - made:
            path = name.rstrip(",}]")
            served = path.startswith(str(first.out / "model_repository"))
            assert served or path in written, (call, path)
        written |= made | {f"{name}/{kind}.ckpt" for name in made for kind in ("best", "last")}


def test_versions_that_it_names_are_served_or_published(first: Run, root: Path) -> None:
    named = {
        Path(word).relative_to(first.out / "model_repository")
        for call in first.calls
        for word in call
        if word.startswith(str(first.out / "model_repository")) and Path(word).name.isdigit()
    }
    assert named
    assert [
        version for version in named if not (root / "model_repository" / version).is_dir()
    ] == []


def test_run_again_it_trains_on_and_repeats_nothing_else(
    first: Run, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(first.out, tmp_path / "out")
    again = run_script(root, tmp_path)
    trainings = [call for call in again.calls if call[0] == "train"]
    assert len(trainings) == sum(call[0] == "train" for call in first.calls)
    assert all(call[-2:] == ["--ckpt_path", "last"] for call in trainings)
    others = [call[0] for call in again.calls if call[0] != "train"]
    assert others == ["export", "export", "export", "fit-scores", "release"]
