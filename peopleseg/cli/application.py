"""What runs a command: its options parsed into its `Options`, its errors told in a sentence.

A command is a module with a docstring, which --help prints, a frozen dataclass `Options` (see
peopleseg.cli.options) and `run(args: Options) -> int`, the exit code. A group of commands is a
module with `COMMANDS`. Only what is called is imported, so that each command works with its own
part of the dependencies installed.
"""

import inspect
import io
import logging
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args, get_type_hints

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from peopleseg.cli.logs import log_to_stderr
from peopleseg.cli.options import POSITIONAL, WRITTEN, parts_of
from peopleseg.cli.output import require_separate
from peopleseg.errors import PeoplesegError, WrongUsage

_LOG = logging.getLogger(__name__)

Commands = Mapping[str, tuple[str, str]]  # by name: the module, and a line of help

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_NOBODY_READS = 141  # 128 + SIGPIPE

CHECKOUT = ("serving", "training", "conversion", "benchmarks")  # folders that no wheel has
_EXAMPLES = ("  peopleseg ", "  python -m ")  # how a block of them begins
_WIDTH = 80  # of a terminal
_ASKS = {"--help", "-h", "--version"}
# No --no-FLAG beside each flag; `--people 1 2 3` as well as `--people 1 --people 2`.
_EVERY_OPTION = Parameter(negative=(), consume_multiple=True)


def run_application(
    name: str, text: str, commands: Commands, version: str, arguments: Sequence[str]
) -> int:
    """Run the command that the arguments name; the exit code. text: for --help."""
    app = _group(name, text, version=version)
    return _told(app, arguments, lambda: _add(app, commands, arguments))


def run_program(module: ModuleType, arguments: Sequence[str] | None = None) -> int:
    """Run a module that is a command of its own, `python -m NAME`; the exit code."""
    name = f"python -m {module.__spec__.name if module.__spec__ else module.__name__}"
    app = _group(name, module.__doc__ or "", version_flags=())
    app.default(function_of(module.Options, module.run))
    return _told(app, sys.argv[1:] if arguments is None else arguments)


def parse(module: ModuleType, arguments: Sequence[str]) -> Any:
    """The `Options` of a command's arguments. Raises WrongUsage."""
    app = _group(module.__name__, "")
    app.default(function_of(module.Options, lambda args: args))
    try:
        return app(list(arguments))
    except CycloptsError as error:
        raise WrongUsage(str(error)) from error


def function_of(options: type, run: Callable[[Any], int]) -> Callable[..., int]:
    """A function with a parameter for each option, which runs with these options."""
    hints = get_type_hints(options, include_extras=True)
    parameters = [_parameter(field, hints[field.name]) for field in fields(options)]
    # by place, then by name; what has to be given comes first
    parameters.sort(key=lambda one: (one.kind, one.default is not inspect.Parameter.empty))
    by_place = [one.name for one in parameters if one.kind != inspect.Parameter.KEYWORD_ONLY]

    def command(*given: Any, **named: Any) -> int:
        args = options(**dict(zip(by_place, given, strict=False)), **named)
        _require_separate_files(args, hints)
        return run(args)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _require_separate_files(args: Any, hints: Mapping[str, Any]) -> None:
    """Raises SameFile where a command would write over what it reads."""
    read: list[tuple[str, Path]] = []
    written: list[tuple[str, Path]] = []
    for name, hint in hints.items():
        parts, value = list(parts_of(hint)), getattr(args, name)
        files = value if isinstance(value, list | tuple) else [value]
        shown = name.upper() if POSITIONAL in parts else f"--{name.replace('_', '-')}"
        to = written if WRITTEN in parts else read
        to += [(shown, file) for file in files if isinstance(file, Path)]
    require_separate(read, written)


def _parameter(field: "Field[Any]", hint: Any) -> inspect.Parameter:
    by_place = POSITIONAL in get_args(hint)[1:]
    kind = inspect.Parameter.POSITIONAL_ONLY if by_place else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(
        field.name,
        kind,
        default=default,
        annotation=Annotated[hint, Parameter(show_default=_shown if _tells(default) else False)],
    )


def _tells(default: object) -> bool:
    return default is not None and default is not False and default not in ((), "")


def _shown(default: object) -> str:
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _group(name: str, text: str, **more: Any) -> App:
    text, examples = _split(text)
    return App(
        name=name,
        help=text,
        help_epilogue=examples,
        help_format="plaintext",
        default_parameter=_EVERY_OPTION,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        **more,
    )


def _add(app: App, commands: Commands, arguments: Sequence[str]) -> None:
    """The commands, of which the one that is called has its options."""
    for number, (name, (place, summary)) in enumerate(commands.items()):
        if not arguments or name != arguments[0]:
            app.command(_not_called, name=name, help=summary, sort_key=number)
            continue
        module = import_module(place)
        inner = _group(name, module.__doc__ or summary)
        if hasattr(module, "COMMANDS"):
            _add(inner, module.COMMANDS, arguments[1:])
        else:
            inner.default(function_of(module.Options, module.run))
        if getattr(module, "PASSES_HELP_ON", False):
            inner.help_flags = ()
        app.command(inner)


def _not_called() -> None:
    """In place of a command whose module is not imported."""


def _split(text: str) -> tuple[str, str]:
    """The description, its lines joined to paragraphs, and the examples, which are indented."""
    blocks = text.strip().split("\n\n")
    told = ["\n".join(_joined(block)) for block in blocks if not block.startswith(_EXAMPLES)]
    examples = [block for block in blocks if block.startswith(_EXAMPLES)]
    return "\n\n".join(told), "\n".join(_narrow(line) for line in "\n\n".join(examples).split("\n"))


def _joined(block: str) -> list[str]:
    """A paragraph as one line, which the terminal's width breaks; a table stays as it is."""
    lines = block.split("\n")
    return lines if any("   " in line for line in lines) else [" ".join(lines)]


def _narrow(line: str) -> str:
    """A command over several lines where it is long for a terminal, to be copied as it is shown."""
    if len(line) <= _WIDTH or "   " in line.strip():
        return line
    more = " " * (len(line) - len(line.lstrip()) + 4)
    parts = textwrap.wrap(
        line, _WIDTH - 2, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(parts)


def _told(app: App, arguments: Sequence[str], complete: Callable[[], object] = lambda: None) -> int:
    """Run the application, once it is complete; what ends it, in a sentence and an exit code."""
    _print_any_name()
    log_to_stderr()
    try:
        if "" in arguments:
            raise WrongUsage("one of the arguments is empty; is a variable not set?")
        with _ended_by_ctrl_c():
            complete()
        code = app(list(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        if code is None:  # --help or --version was printed, or the help of a group for want of more
            return EXIT_OK if _ASKS.intersection(arguments) else EXIT_USAGE
        return int(code)
    except CycloptsError as error:
        told = _sentence(error)
        return _failed(f"{told}; see `{_called(app, arguments)} --help`", EXIT_USAGE)
    except WrongUsage as error:
        return _failed(str(error), EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # as of `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is buffered
        return EXIT_NOBODY_READS
    except ModuleNotFoundError as error:
        return _failed(f"{' '.join(arguments[:1])} {_missing(error.name or 'a package')}")
    except (PeoplesegError, OSError) as error:
        return _failed(str(error))


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Around imports: Ctrl-C in the middle of one would end in a traceback of it."""
    here = threading.current_thread() is threading.main_thread()
    if not (here and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _sentence(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"not expected: {' '.join(error.unused_tokens or ())}"
    told = str(error)
    return told if told.endswith("...") else told.rstrip(".")


def _called(app: App, arguments: Sequence[str]) -> str:
    """The name of the command that was called, as one types it."""
    return " ".join((*app.name, *app.parse_commands(list(arguments))[0]))


def _print_any_name() -> None:
    """Escape what the terminal's encoding lacks, as of a file's name, where it would end the work.

    Test runners put streams of their own in place, which may lack this.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _missing(package: str) -> str:
    if package in CHECKOUT:
        return "runs from a checkout of peopleseg, not from an installed wheel; its README says how"
    return f"needs {package}, which is not installed"


def _failed(message: str, code: int = EXIT_FAILED) -> int:
    _LOG.error("%s", message)
    return code
