"""Commands by their real entry point, in this process."""

from types import ModuleType

from peopleseg.cli.main import COMMANDS, main


def run(command: ModuleType, *arguments: object) -> int:
    """The exit code of a command, named by its module."""
    (name,) = (name for name, (module, _) in COMMANDS.items() if module == command.__name__)
    return main([name, *map(str, arguments)])
