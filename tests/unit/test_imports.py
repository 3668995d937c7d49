"""Imports point down, as docs/architecture.md draws them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each part with those that it may import; what is not a part of `peopleseg` stands above it.
BELOW: dict[str, tuple[str, ...]] = {
    "errors": (),
    "pixels": ("errors",),
    "labels": ("errors", "pixels"),
    "runtime": ("errors",),
    "repository": ("errors", "pixels", "labels", "runtime"),
    "systems": ("errors", "pixels", "labels", "runtime", "repository"),
    "checks": ("errors", "pixels", "runtime", "repository", "systems"),
    "releases": ("errors", "labels", "repository", "systems"),
    "networks": ("errors", "pixels", "labels", "runtime", "repository", "systems"),
    "client": ("errors", "pixels", "labels", "repository", "systems"),
    "surface": ("client", "systems"),
    "cli": (
        *("errors", "pixels", "labels", "runtime", "repository", "systems"),
        *("checks", "releases", "client"),
    ),
}
ABOVE = ("serving", "training", "conversion", "benchmarks")
MAY_IMPORT_ALL = ("benchmarks",)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Modules of this project; also those within functions, and of a `from`, what it names."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in ("peopleseg", *ABOVE))


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_those_below_it_alone(part: str) -> None:
    allowed = {part, *BELOW[part], "__version__"}
    found = files(f"peopleseg/{part}") or [ROOT / "peopleseg" / f"{part}.py"]
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in found
        for name in imported(path)
        if name.split(".")[0] != "peopleseg" or name.split(".")[1] not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("folder", [name for name in ABOVE if name not in MAY_IMPORT_ALL])
def test_the_folders_above_do_not_import_one_another(folder: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(folder)
        for name in imported(path)
        if name.split(".")[0] not in ("peopleseg", folder)
    }
    assert not wrong


def test_every_part_is_drawn() -> None:
    there = {path.name for path in (ROOT / "peopleseg").iterdir() if path.is_dir()}
    assert there - {"__pycache__"} == set(BELOW) - {"errors", "surface"}
