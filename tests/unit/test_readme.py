"""The README says what the files say."""

import json
import re
from pathlib import Path

import pytest

from peopleseg.cli.main import COMMANDS
from tests.unit.links import broken_links

PAGES = (
    *("README.md", "CONTRIBUTING.md", "training/README.md", "conversion/README.md"),
    *("docs/accuracy.md", "docs/architecture.md", "docs/operations.md", "docs/adding_a_system.md"),
)


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def test_every_metric_of_the_results_is_that_of_its_file(readme: str, root: Path) -> None:
    measured = json.loads((root / "benchmarks" / "results" / "accuracy.json").read_text())
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|$", readme, re.MULTILINE)
    assert {name for name, _ in rows} >= {"mask_ap50", "box_ap50", "roi_miou", "foreground_miou"}
    for name, printed in rows:
        assert printed == f"{measured[name]:.3f}", name
    assert measured["failed"] == []


def test_every_metric_of_the_speed_is_that_of_its_file(readme: str, root: Path) -> None:
    section = readme.split("## How fast it is")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    page = (root / "benchmarks" / "results" / "speed.md").read_text().splitlines()
    assert len(table) > 5
    assert [line for line in table if line not in page] == []


def test_every_make_command_is_a_target(readme: str, root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", readme, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str, root: Path) -> None:
    assert broken_links(root / page) == []


def test_every_subcommand_that_is_run_exists(readme: str) -> None:
    named = set(re.findall(r"^peopleseg ([a-z][a-z-]*)", readme, re.MULTILINE))
    assert {"train", "validate", "export"} <= named <= set(COMMANDS)
