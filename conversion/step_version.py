"""Make a new version of a Python step: the newest one's code with other settings.

  peopleseg new-step-version roi_align --set sampling=corner_to_corner
  peopleseg new-step-version select_people --set min_score=0.2 --set max_iou=0.6
  peopleseg new-step-version roi_align --set 'roi_size_hw=[80, 60]'

A version has its settings as it has its code, so that a release can go back to both. Settings that
are not named stay as they are in the newest version. The folder is printed; nothing serves it
before `peopleseg release` does. Exit code 2 for a step or a setting that there is not.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from peopleseg.cli.repository_option import add_repository_option
from peopleseg.errors import PeoplesegError
from peopleseg.repository.commit import current_commit
from peopleseg.repository.manifest import STEP_ARTIFACT, ArtifactError, StepManifest
from peopleseg.repository.settings import settings_faults
from peopleseg.repository.version_folder import newest_version, publish, scratch_folder
from peopleseg.systems.people.contract import STEPS
from peopleseg.systems.people.python_steps import PYTHON_STEPS

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class SettingsError(PeoplesegError, ValueError):
    """Not a Python step, or settings that it cannot work with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg new-step-version`."""
    parser.add_argument("step", metavar="STEP", help="folder of a Python step, such as roi_align")
    parser.add_argument(
        "--set",
        dest="settings",
        type=_setting,
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="a setting of the step; numbers and lists as in JSON",
    )
    add_repository_option(parser, writes=True)


def run(args: argparse.Namespace) -> int:
    """Write the version and print its folder."""
    try:
        folder = new_step_version(args.model_repository, args.step, dict(args.settings))
    except (ArtifactError, SettingsError) as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILED
    print(f"{folder}: settings {json.dumps(StepManifest.read(folder).settings)}")
    print(f"serve it with: peopleseg release NAME {args.step}={folder.name}")
    return EXIT_OK


def new_step_version(repository: Path, step: str, settings: Mapping[str, Any]) -> Path:
    """Write the next version folder of a Python step, whole or not at all, and return it.

    Raises SettingsError for what is no Python step and for settings that it cannot work with,
    ArtifactError when the newest version is not what its manifest says.
    """
    steps = _python_steps(repository)
    if step not in steps:
        raise SettingsError(
            f"{step} is not a Python step of {repository}, which has {', '.join(steps) or 'none'}"
        )
    source = steps[step]
    manifest = StepManifest.read(source)
    manifest.verify(source)
    chosen = {**manifest.settings, **settings}
    if wrong := settings_faults(step, PYTHON_STEPS[step].settings, chosen):
        raise SettingsError("; ".join(wrong))
    with scratch_folder(repository / step) as scratch:
        shutil.copy(source / manifest.artifact, scratch)
        replace(manifest, settings=chosen, commit=current_commit()).write(scratch)
        return publish(scratch)


def _python_steps(repository: Path) -> dict[str, Path]:
    """The newest version folder of each step that is code."""
    newest = {name: repository / name / str(newest_version(repository / name)) for name in STEPS}
    return {name: path for name, path in newest.items() if (path / STEP_ARTIFACT).is_file()}


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word
