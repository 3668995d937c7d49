"""What tests of several folders use."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.data.people_images import real_photos

ROOT = Path(__file__).resolve().parents[1]
MARKED_BY_FOLDER = (ROOT / "tests" / "export", ROOT / "tests" / "training")


def pytest_configure() -> None:
    # A shell's background jobs ignore Ctrl-C, and so would the processes that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    photos = real_photos()
    where = photos[0] if photos else "none (PEOPLESEG_DATA names a folder); made-up ones instead"
    return f"real photos: {where}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks of the folder."""
    for item in items:
        if item.path.parent in MARKED_BY_FOLDER:
            item.add_marker(item.path.parent.name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture
def random() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def people_data() -> Path:
    """Folder with train/, val/ and their person_*.json; skips where there is none."""
    folder = Path(os.environ.get("PEOPLESEG_DATA", ROOT.parent / "shared" / "data" / "people"))
    if not (folder / "person_val.json").exists():
        pytest.skip(f"no photos at {folder}; PEOPLESEG_DATA names another folder")
    return folder
