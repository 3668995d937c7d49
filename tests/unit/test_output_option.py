"""What a command cannot write is refused before its work."""

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from peopleseg.cli.main import COMMANDS, EXIT_USAGE, main
from peopleseg.cli.output import file_fault, file_to_write, folder_fault, folder_to_write

OUTPUTS = {"--out", "--json", "--rest", "--report", "--results", "--log-file"}
READS_RESULTS = ("bench", "report")
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def test_what_can_be_written_is_taken_and_nothing_is_made(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.touch()
    for path in (there, tmp_path / "new.json", tmp_path / "a" / "b" / "new.json"):
        assert file_to_write(str(path)) == path
    for folder in (tmp_path, tmp_path / "a" / "b", Path("relative")):
        assert folder_to_write(str(folder)) == folder
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is a folder; name a file"),
        ("file/x.json", "is a file, not a folder"),
        ("file/a/x.json", "is a file, not a folder"),
        ("n" * 256, "File name too long"),
        (f"{'n' * 256}/x.json", "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    assert reason in str(file_fault(tmp_path / name))
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        file_to_write(str(tmp_path / name))


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    """Also for root, whom permissions do not stop."""
    if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    code = (
        "import sys; from pathlib import Path; from peopleseg.cli.output import *; "
        "print(folder_fault(Path(sys.argv[1])), file_fault(Path(sys.argv[1], 'a', 'b')), sep='\\n')"
    )
    script = (
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && "
        f'{sys.executable} -c "{code}" {tmp_path}'
    )
    done = subprocess.run([*OWN_MOUNTS, "sh", "-c", script], capture_output=True, text=True)
    reason = f"{tmp_path} cannot be written by this user; name another place\n"
    assert done.stdout == reason * 2, done.stderr
    assert folder_fault(tmp_path) is None


def parsers() -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """The parser of every command, and of every benchmark."""
    found: dict[tuple[str, ...], argparse.ArgumentParser] = {}
    for name, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser()
        import_module(module).add_arguments(parser)
        found[(name,)] = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= {(name, sub): parser for sub, parser in action.choices.items()}
    return found


def test_every_command_checks_where_it_writes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checked = set()
    for name, parser in parsers().items():
        for action in parser._actions:
            (option, *_) = action.option_strings or ("",)
            if option in OUTPUTS and action.nargs != 0 and name != READS_RESULTS:
                assert callable(action.type), (name, option)
                with pytest.raises(argparse.ArgumentTypeError, match="is a file, not a folder"):
                    action.type(str(tmp_path / "file" / "x"))
                checked.add((name[0], option))
    assert len(checked) >= 15, checked


@pytest.mark.parametrize(
    "arguments",
    [
        "segment photo.jpg --out",
        "evaluate --images . --annotations people.json --json",
        "data-subset --annotations people.json --out",
        "export best.ckpt --model-repository",
    ],
)
def test_the_reason_is_told_at_once(
    tmp_path: Path, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([*arguments.split(), str(tmp_path / "file" / "x")]) == EXIT_USAGE
    assert f"{tmp_path / 'file'} is a file, not a folder; name another place" in (
        capsys.readouterr().err
    )


def test_a_training_is_refused_at_once(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    config = root / "training" / "configs" / "people_unet_lite.yaml"
    fit = ["train", "fit", "--config", config, "--data.root", tmp_path, "--out", tmp_path / "file"]
    assert main([str(one) for one in fit]) == 1
    assert "is a file, not a folder" in capsys.readouterr().err
