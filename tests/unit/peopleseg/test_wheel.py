"""What an installed wheel is: one name, the client and its commands."""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What the command line itself needs.
COMMAND_LINE = (
    *("attr", "attrs", "cyclopts", "docstring_parser", "markdown_it", "mdurl", "pygments"),
    *("pythonjsonlogger", "rich", "rich_rst", "tqdm"),
)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files. Built of a copy: setuptools builds beside the sources."""
    source, wheels, unpacked = (tmp_path_factory.mktemp(n) for n in ("source", "wheels", "files"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("peopleseg", "serving", "training", "conversion"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", *build, "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(unpacked)
    return unpacked


def test_it_takes_no_other_name(unpacked: Path) -> None:
    names = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"peopleseg"}
    for module in (ROOT / "peopleseg").rglob("*.py"):
        assert (unpacked / module.relative_to(ROOT)).is_file(), module


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, "peopleseg 0."),
        (["serve"], 1, "peopleseg: serve runs from a checkout of peopleseg"),
        (["train", "fit"], 1, "peopleseg: train runs from a checkout of peopleseg"),
        (["segment"], 1, "peopleseg: segment needs"),  # no other package is in this interpreter
    ],
)
def test_its_command_line_starts(
    arguments: list[str], code: int, said: str, unpacked: Path, tmp_path: Path
) -> None:
    (tmp_path / "packages").mkdir()
    for name in COMMAND_LINE:
        found = find_spec(name)
        assert found is not None and found.submodule_search_locations
        (tmp_path / "packages" / name).symlink_to(found.submodule_search_locations[0])
    start = (
        f"import sys; sys.path[:0] = [{str(unpacked)!r}, {str(tmp_path / 'packages')!r}]; "
        "from peopleseg.cli.main import main"
    )
    command = [sys.executable, "-I", "-S", "-c", f"{start}; sys.exit(main({arguments!r}))"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout.startswith(said) or done.stderr.startswith(said)
