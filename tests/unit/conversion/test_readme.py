"""What the conversion's README tells to type is accepted, and what it says of limits is so."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from conversion import gate
from conversion.step_version import setting
from peopleseg.cli.application import parse
from peopleseg.cli.main import COMMANDS
from peopleseg.repository.settings import settings_faults
from peopleseg.systems.known import PYTHON_STEPS as STEP_CLASSES
from peopleseg.systems.people import agreement
from peopleseg.systems.people.accuracy import METRICS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "conversion" / "README.md").read_text()


def calls() -> list[list[str]]:
    """The arguments of `peopleseg` wherever a block of commands calls it."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    # The letters stand for numbers that an earlier command printed.
    blocks = [re.sub(r"=[A-Z]\b", "=1", block) for block in blocks]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(peopleseg (?:release|new-step-version) [^`]+)`", TEXT)
    split = [shlex.split(line, comments=True) for line in (*lines, *inline) if line.strip()]
    return [call[1:] for call in split if call[0] == "peopleseg"]


@pytest.mark.parametrize("call", calls(), ids=" ".join)
def test_each_command_is_accepted(call: list[str]) -> None:
    args = parse(import_module(COMMANDS[call[0]][0]), call[1:])
    if call[0] == "new-step-version":
        settings = dict(map(setting, args.set))
        assert settings_faults(args.step, STEP_CLASSES[args.step].settings, settings) == []


def test_the_whole_way_is_there() -> None:
    named = {call[0] for call in calls()}
    way = {"export", "check", "release", "status", "rollback", "retrain", "prune"}
    assert named >= way | {"serve", "new-step-version"}


def test_every_setting_is_in_the_table() -> None:
    table = TEXT.partition("| step | setting |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    with_settings = {name: step.settings for name, step in STEP_CLASSES.items() if step.settings}
    assert {name for settings in with_settings.values() for name in settings} - named == set()
    assert set(with_settings) - named == set()


def test_the_tolerances_are_those_of_the_code() -> None:
    percent = 100 * agreement.BOX_TOLERANCE
    assert (
        f"boxes differ by more than {agreement.BOX_TOLERANCE_PX:g} pixels or {percent:g} %" in TEXT
    )
    assert f"scores by {agreement.SCORE_TOLERANCE:g}" in TEXT
    assert f"masks by {agreement.MASK_TOLERANCE:g} of 255" in TEXT
    assert f"more than `--margin`, {gate.MARGIN:g}" in TEXT
    assert all(f"`{metric}`" in TEXT for metric in METRICS)


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"(?:training|conversion)/[\w/]+\.(?:yaml|py)", TEXT)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
