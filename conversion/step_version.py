"""Make a new version of a Python step: the code as it is now, and settings.

  peopleseg new-step-version roi_align --set sampling=corner_to_corner
  peopleseg new-step-version select_people --set min_score=0.2 --set max_iou=0.6
  peopleseg new-step-version roi_align --set 'roi_size_hw=[80, 60]'
  peopleseg new-step-version postprocess

A version keeps its code and its settings, so that a release can go back to both: the modules that
the step imports lie in its folder, in code.zip, and later changes of them do not reach it. Settings
that are not named stay as they are in the version that serves. The folder is printed; nothing
serves it before `peopleseg release` does. Exit code 2 for a step or a setting that there is not,
and where nothing would differ from the version that serves.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from peopleseg.cli.options import POSITIONAL, Help, WrittenRepositoryOption, elsewhere
from peopleseg.errors import WrongUsage
from peopleseg.repository import frozen_code
from peopleseg.repository.commit import current_commit
from peopleseg.repository.manifest import FILE_NAME as MANIFEST
from peopleseg.repository.manifest import STEP_ARTIFACT, StepManifest, sha256
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.settings import FILE, settings_faults
from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.repository.version_folder import newest_version, publish, scratch_folder
from peopleseg.systems.known import PYTHON_STEPS, systems_with
from peopleseg.systems.step import Step
from peopleseg.systems.versions import ADAPTER, code_of, place_of
from peopleseg.systems.wiring import serving_versions

_OWN_FILES = (STEP_ARTIFACT, MANIFEST, frozen_code.FILE_NAME)


class SettingsError(WrongUsage, ValueError):
    """Not a Python step, or settings that it cannot work with."""


@dataclass(frozen=True, kw_only=True)
class Options(WrittenRepositoryOption):
    step: Annotated[str, POSITIONAL, Help("a Python step, such as roi_align")]
    set: Annotated[
        tuple[str, ...],
        Help(
            "KEY=VALUE, a setting of the step; numbers and lists as in JSON (as in the version "
            "that serves)"
        ),
        Parameter(consume_multiple=False),
    ] = ()


def run(args: Options) -> int:
    """Write the version and print its folder. Raises SettingsError, ArtifactError."""
    folder = new_step_version(args.model_repository, args.step, dict(map(setting, args.set)))
    print(f"{folder}: settings {json.dumps(StepManifest.read(folder).settings)}")
    print(f"serve it with: peopleseg release NAME {args.step}={folder.name}{elsewhere(args)}")
    return 0


def new_step_version(repository: Path, step: str, settings: Mapping[str, Any]) -> Path:
    """Write the next version folder of a Python step, whole or not at all, and return it.

    Settings that are not named are those of the version that serves, else of the newest one. Raises
    SettingsError for what is no Python step, for settings that it cannot work with and where
    nothing is new, ArtifactError when that version is not what its manifest says.
    """
    made_of = _python_step(repository, step)
    version = _version_before(repository, step)
    before = _verified(repository / step / str(version)) if version else None
    chosen = {**(before.settings if before else {}), **settings}
    if wrong := settings_faults(step, made_of.settings, chosen):
        raise SettingsError("; ".join(wrong))
    brought = _files(repository / step / str(version), made_of, chosen, settings)
    chosen |= {name: path.name for name, path in brought.items()}
    files = {name: sha256(path) for name, path in brought.items()}
    code = code_of(made_of)
    digest = frozen_code.digest(code)
    if before and (before.code, before.settings, before.files) == (digest, chosen, files):
        raise SettingsError(
            f"{step}/{version} has this code and these settings already; name others with --set"
        )
    with scratch_folder(repository / step) as scratch:
        (scratch / frozen_code.FILE_NAME).write_bytes(code)
        for path in brought.values():
            shutil.copyfile(path, scratch / path.name)
        artifact = scratch / STEP_ARTIFACT
        artifact.write_text(_model_py(made_of))
        StepManifest(
            step,
            sha256(artifact),
            chosen,
            current_commit(),
            code=digest,
            step=place_of(made_of),
            files=files,
        ).write(scratch)
        return publish(scratch)


def _files(
    before: Path, step: type[Step], chosen: Mapping[str, Any], named: Mapping[str, Any]
) -> dict[str, Path]:
    """Where the files of the settings are now: as they are named, else in the version before.

    Raises SettingsError.
    """
    files = {
        name: Path(value) if name in named else before / value
        for name, value in chosen.items()
        if step.settings[name] is FILE
    }
    for name, path in files.items():
        if not path.is_file():
            raise SettingsError(f"setting {name} is {path}, which is no file")
        if path.name in _OWN_FILES:
            raise SettingsError(
                f"setting {name} is {path}; a version has a {path.name} of its own, name the file "
                "otherwise"
            )
    return files


def _python_step(repository: Path, step: str) -> type[Step]:
    """Raises SettingsError for what is no Python step, or has no folder in the repository."""
    here = [name for name in PYTHON_STEPS if (repository / name / CONFIG_FILE).is_file()]
    if step not in here:
        raise SettingsError(
            f"{step} is not a Python step of {repository}, which has {', '.join(here) or 'none'}"
        )
    return PYTHON_STEPS[step]


def _version_before(repository: Path, step: str) -> int:
    """The version that serves, the newest where systems pin different ones; 0 before the first."""
    there = versions_in(repository / step)
    pins = {serving_versions(repository, system).get(step, 0) for system in systems_with(step)}
    return max(pins.intersection(there), default=newest_version(repository / step))


def _verified(folder: Path) -> StepManifest:
    manifest = StepManifest.read(folder)
    manifest.verify(folder)
    return manifest


def _model_py(step: type[Step]) -> str:
    """What Triton loads: the step, of the code beside it."""
    about = (sys.modules[step.__module__].__doc__ or step.model.name).strip().splitlines()[0]
    return f'''\
"""{about}"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("{frozen_code.FILE_NAME}")))

from {step.__module__} import {step.__qualname__}  # noqa: E402
from {ADAPTER} import triton_model  # noqa: E402

TritonPythonModel = triton_model({step.__qualname__})
'''


def setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise SettingsError(f"--set {text!r} is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word
