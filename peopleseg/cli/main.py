"""The command line.

    python -m peopleseg.cli.main segment photo.jpg --out out

is the same as `peopleseg segment photo.jpg --out out`. Only the module of the chosen subcommand is
imported, so each works with its own part of the dependencies installed.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from peopleseg import __version__
from peopleseg.errors import PeoplesegError, WrongUsage

# Subcommand: its module, with `add_arguments(parser)` and `run(args) -> int`, and one line of help.
# The module's docstring is what `peopleseg <subcommand> --help` prints.
COMMANDS = {
    "serve": ("serving.command", "start the server with the models of this repository"),
    "segment": ("peopleseg.cli.segment_command", "find the people of images and folders"),
    "call": ("peopleseg.cli.call_command", "ask any ensemble about images, for its tensors"),
    "evaluate": ("peopleseg.cli.evaluate_command", "measure a running server's accuracy"),
    "train": ("training.command", "train a network from a YAML file"),
    "train-memory": ("training.memory_command", "measure the memory that trainings need"),
    "data-stats": ("training.data.stats_command", "measure a data set, and its class weights"),
    "data-subset": ("training.data.subset_command", "write a smaller COCO file"),
    "data-generate": ("training.data.generate_command", "make up a data set for first tries"),
    "fill-masks": ("training.data.fill_masks_command", "make masks of people with a box alone"),
    "precompute-features": (
        "training.features_command",
        "compute what the head on features reads",
    ),
    "validate": ("training.validation.command", "measure checkpoints and compare them"),
    "average-weights": ("training.average_command", "average checkpoints of one training"),
    "export": ("conversion.export.command", "make a checkpoint a version of its model"),
    "import-detector": (
        "conversion.detectors.command",
        "make a published ONNX file a version of the detector",
    ),
    "new-step-version": (
        "conversion.step_version",
        "make a version of a Python step with other settings",
    ),
    "fit-scores": (
        "conversion.fit_scores_command",
        "make scores say how likely a person is right",
    ),
    "render-configs": (
        "peopleseg.cli.render_configs_command",
        "write the configs that follow from others",
    ),
    "check": ("peopleseg.cli.check_command", "find what is wrong in a model repository"),
    "release": (
        "conversion.release.release_command",
        "serve other versions of models, all at once",
    ),
    "rollback": ("conversion.release.rollback_command", "serve an earlier release again"),
    "status": ("conversion.release.status_command", "show what serves, is loaded and is on disk"),
    "prune": ("conversion.release.prune_command", "delete versions that no kept release uses"),
    "bench": ("benchmarks.speed.command", "measure how fast the server is, and what limits it"),
    "retrain": ("conversion.retrain", "train, validate, export and release in one command"),
    "import-weights": (
        "training.pretrained.import_command",
        "make a checkpoint of published weights",
    ),
}

CHECKOUT = ("serving", "training", "conversion", "benchmarks")  # folders that no wheel has

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_NOBODY_READS = 141  # 128 + SIGPIPE

DESCRIPTION = "Person instance segmentation: who is in an image, and where."
EXAMPLES = """\
examples:
  peopleseg serve
  peopleseg segment photo.jpg holiday/ --out out
  peopleseg evaluate --images val/ --annotations person_val.json --json results.json
  peopleseg segment --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 141
    where nobody reads what is printed any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _print_any_name()
    chosen = next((name for name in arguments if not name.startswith("-")), None)
    try:
        code = _run(chosen, arguments)
        sys.stdout.flush()
        return code
    except WrongUsage as error:
        return _failed(str(error), EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # as of `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is buffered
        return EXIT_NOBODY_READS
    except ModuleNotFoundError as error:
        return _failed(f"{chosen} {_missing(error.name or 'a package')}")
    except (PeoplesegError, OSError) as error:
        return _failed(str(error))


def _run(chosen: str | None, arguments: Sequence[str]) -> int:
    module = import_module(COMMANDS[chosen][0]) if chosen in COMMANDS else None
    parser = _parser(chosen, module)
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:  # --help, --version, wrong usage
        return int(stop.code or EXIT_OK)
    if module is None:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    return int(module.run(args))


def _print_any_name() -> None:
    """Escape what the terminal's encoding lacks, as of a file's name, where it would end the work.

    Test runners put streams of their own in place, which may lack this.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser(chosen: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="peopleseg",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"peopleseg {__version__}")
    commands = parser.add_subparsers(title="subcommands", metavar="<subcommand>")
    for name, (_, summary) in COMMANDS.items():
        subparser = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == chosen and module is not None:
            subparser.description = module.__doc__
            module.add_arguments(subparser)
    return parser


def _missing(package: str) -> str:
    if package in CHECKOUT:
        return "runs from a checkout of peopleseg, not from an installed wheel; its README says how"
    return f"needs {package}, which is not installed"


def _failed(message: str, code: int = EXIT_FAILED) -> int:
    print(f"peopleseg: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
