"""The parts that systems bring to a command.

A command of several systems asks `peopleseg/cli/SYSTEM/COMMAND.py` for what is a system's own; the
head of the command's module says what is in there. It has the options of all systems: those that
are some systems' own are None unless given, and OWN_OPTIONS of a part names which of them mean
something to its system. They reach the part's functions as arguments by name.

Systems are known by these folders, not by their records, so that a client needs nothing of a
server.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from peopleseg.errors import WrongUsage

DEFAULT = "people"


def systems_with(command: str) -> tuple[str, ...]:
    """Names of the systems that have a part of a command."""
    return tuple(sorted(part.parent.name for part in Path(__file__).parent.glob(f"*/{command}.py")))


def part_of(command: str, system: str) -> ModuleType:
    """What a system brings to a command."""
    return import_module(f"peopleseg.cli.{system}.{command}")


def own_options(args: Any, part: ModuleType, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of a command's options that are given, of the ones that are some systems' own.

    Raises WrongUsage for one that means nothing to the system of the part.
    """
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    for name in given:
        if name not in part.OWN_OPTIONS:
            option = name.replace("_", "-")
            raise WrongUsage(f"--{option} means nothing to --system {args.system}; leave it out")
    return given
