"""The command line around the subcommands."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest

from peopleseg import ServerUnavailable, __version__
from peopleseg.cli.application import EXIT_NOBODY_READS
from peopleseg.cli.main import COMMANDS, main
from peopleseg.cli.options import Help


class Command(ModuleType):
    """A subcommand in place of `segment` that ends as it is told to."""

    outcome: int | BaseException = 0

    @dataclass(frozen=True, kw_only=True)
    class Options:
        number: Annotated[int, Help("any")] = 0

    def run(self, args: Options) -> int:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    fake = Command("fake_command", "What the fake does.")
    monkeypatch.setitem(sys.modules, "fake_command", fake)
    monkeypatch.setitem(COMMANDS, "segment", ("fake_command", "a fake"))
    yield fake


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (ServerUnavailable("nobody there"), 1, "peopleseg: nobody there"),
        (FileNotFoundError("no file x"), 1, "peopleseg: no file x"),
        (ModuleNotFoundError("No module", name="torch"), 1, "segment needs torch"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(
    command: Command,
    capsys: pytest.CaptureFixture[str],
    outcome: int | BaseException,
    code: int,
    words: str,
) -> None:
    command.outcome = outcome
    assert main(["segment", "--number", "3"]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["--bogus"], ["segment", "--bogus"], ["segment", "--number=x"]]
)
def test_wrong_usage_is_2_and_says_how(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    if arguments:
        assert said.out == "" and said.err.startswith("peopleseg: ")
        assert " --help`" in said.err and len(said.err.splitlines()) == 1
    else:
        assert "Usage: peopleseg COMMAND" in said.out


def test_help_names_every_subcommand_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and summary in printed for name, (_, summary) in COMMANDS.items())
    assert "\n  peopleseg serve\n" in printed


@pytest.mark.parametrize("name", ["segment", "evaluate"])
def test_help_of_a_subcommand_has_its_examples(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([name, "--help"]) == 0
    assert f"  peopleseg {name} " in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"peopleseg {__version__}"


def test_a_subcommand_imports_no_other(root: Path) -> None:
    code = (
        "import sys; from peopleseg.cli.main import main; main(['segment', '--help']);"
        "others = {'peopleseg.cli.evaluate_command', 'serving', 'torch'} & set(sys.modules);"
        "assert not others, others"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)


def test_it_runs_as_a_module(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peopleseg.cli.main", "--version"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("peopleseg ")


def test_output_that_nobody_reads_any_more_ends_in_silence(root: Path) -> None:
    """As of `peopleseg check | true`."""
    program = [sys.executable, "-m", "peopleseg.cli.main", "check"]
    with subprocess.Popen(
        program, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (EXIT_NOBODY_READS, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_terminal_cannot_print_ends_nothing(root: Path, encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peopleseg.cli.main", "check", "--model-repository", "Łódź 猫"],
        cwd=root,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert rb"\u732b" in done.stdout + done.stderr


def test_the_help_of_every_command_comes_without_torch(root: Path) -> None:
    code = """
import sys
from peopleseg.cli.main import COMMANDS, main
for name in COMMANDS:
    assert main([name, "--help"]) == 0, name
    assert "torch" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: peopleseg ") == len(COMMANDS) - 1  # train prints its own
