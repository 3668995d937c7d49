"""Answers of the large parts, recorded once for all tests of the folder."""

import gc

import pytest

from tests.unit.peopleseg.networks.referring.recorded import (
    BACKBONES,
    TEXT_ENCODERS,
    Look,
    Reading,
    look,
    read,
)


@pytest.fixture(scope="session")
def looks() -> dict[str, Look]:
    """By name of a backbone."""
    return {name: look(name) for name in BACKBONES}


@pytest.fixture(scope="session")
def readings() -> dict[str, Reading]:
    """By name of a text encoder."""
    found = {}
    for name in TEXT_ENCODERS:
        found[name] = read(name)
        gc.collect()  # models of half a gigabyte refer to themselves
    return found
