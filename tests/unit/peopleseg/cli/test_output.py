"""What a command cannot write is refused before its work."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from cyclopts import Parameter

from peopleseg.cli.application import EXIT_USAGE
from peopleseg.cli.main import COMMANDS, main
from peopleseg.cli.output import file_fault, folder_fault

OUTPUTS = {"out", "json", "rest", "report", "results", "sheets", "log_file"}
READS_RESULTS = ("bench", "report")
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def test_what_can_be_written_is_taken_and_nothing_is_made(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.touch()
    for path in (there, tmp_path / "new.json", tmp_path / "a" / "b" / "new.json"):
        assert file_fault(path) is None
    for folder in (tmp_path, tmp_path / "a" / "b", Path("relative")):
        assert folder_fault(folder) is None
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


def every_options() -> dict[tuple[str, ...], type]:
    """The options of every command, and of every benchmark."""
    found: dict[tuple[str, ...], type] = {}
    for name, (place, _) in COMMANDS.items():
        module = import_module(place)
        inner = getattr(module, "COMMANDS", {})
        found |= {(name, sub): import_module(place).Options for sub, (place, _) in inner.items()}
        if not inner:
            found[(name,)] = module.Options
    return found


def validators(hint: Any) -> Iterator[Callable[[Any, Any], None]]:
    """Those of an option's annotation, however deep."""
    for part in get_args(hint):
        if isinstance(part, Parameter):
            yield from part.validator  # type: ignore[misc]
        else:
            yield from validators(part)


def test_every_command_checks_where_it_writes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checked = set()
    for name, options in every_options().items():
        for option, hint in get_type_hints(options, include_extras=True).items():
            if option in OUTPUTS and "bool" not in str(hint) and name != READS_RESULTS:
                with pytest.raises(ValueError, match="is a file, not a folder"):
                    for validate in validators(hint):
                        validate(Path, tmp_path / "file" / "x")
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
