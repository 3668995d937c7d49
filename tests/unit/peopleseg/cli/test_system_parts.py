"""What systems bring to commands."""

from dataclasses import dataclass, fields
from importlib import import_module

import pytest

from peopleseg.cli.system_parts import DEFAULT, own_options, part_of, systems_with
from peopleseg.errors import WrongUsage
from peopleseg.systems.known import NAMES, SYSTEMS

PARTS = {
    "segment": {"ENSEMBLE", "OWN_OPTIONS", "segment", "write"},
    "evaluate": {"ENSEMBLE", "OWN_OPTIONS", "read", "measure", "accuracy", "table", "report"},
}


@pytest.mark.parametrize("command", PARTS)
def test_every_part_is_a_systems_and_has_all_that_its_command_asks_for(command: str) -> None:
    assert DEFAULT in systems_with(command) and set(systems_with(command)) <= set(NAMES)
    options = {
        field.name for field in fields(import_module(f"peopleseg.cli.{command}_command").Options)
    }
    for system in SYSTEMS:
        if system.name in systems_with(command):
            part = part_of(command, system.name)
            assert PARTS[command] <= set(vars(part))
            assert part.ENSEMBLE in {one.name for one in system.ensembles}
            assert set(part.OWN_OPTIONS) <= options


@dataclass(frozen=True)
class Args:
    system: str
    format: str | None = None
    min_score: float | None = None


def test_an_option_reaches_the_systems_that_know_it_and_is_refused_by_others() -> None:
    names = ("format", "min_score")
    people, semantic = (part_of("segment", name) for name in ("people", "semantic"))
    assert own_options(Args("people", min_score=0.0), people, names) == {"min_score": 0.0}
    assert own_options(Args("semantic"), semantic, names) == {}
    with pytest.raises(WrongUsage, match="--min-score means nothing to --system semantic"):
        own_options(Args("semantic", min_score=0.5), semantic, names)


def test_a_command_that_no_system_knows_has_none() -> None:
    assert systems_with("no_such_command") == ()
