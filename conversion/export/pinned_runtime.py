"""Run an artifact under the ONNX Runtime of the pinned server image, beside the one installed.

It is installed once, into a folder of its own in the user's cache ($XDG_CACHE_HOME or ~/.cache),
and runs in a process of its own that sees nothing else of this environment.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conversion.export import pinned_run
from conversion.export.parity import Expected, Gaps, gaps
from conversion.export.runners import Runner
from conversion.export.settings import ExportError, MissingRequirement
from peopleseg.repository.cache import cache_folder
from peopleseg.systems.step import Arrays

VERSION = "1.19.2"  # of nvcr.io/nvidia/tritonserver:24.10-py3
# Built against numpy 1; the other packages that its wheel names are for tools that do not run here.
REQUIREMENTS = (f"onnxruntime=={VERSION}", "numpy==1.26.4")
INSTALL_TIMEOUT_S = 300


def install() -> Path:
    """The folder with the pinned ONNX Runtime; made at the first call, by pip.

    Raises MissingRequirement where there is no way to get it.
    """
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / f"onnxruntime-{VERSION}-{python}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        target = Path(partial) / "packages"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        options = ["--no-deps", "--only-binary=:all:", "--target", str(target)]
        _install([*pip, *options, *REQUIREMENTS])
        try:
            os.rename(target, folder)  # whole or not there
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder


def compare(artifact: Path, cases: Sequence[Expected], run: Runner) -> Gaps:
    """How far the pinned ONNX Runtime is from `run`, the installed one, on these cases.

    Raises MissingRequirement, and ExportError with what ONNX Runtime says.
    """
    installed = [Expected(case, run(case.inputs)) for case, _ in cases]
    responses = iter(_run(artifact, [case.inputs for case, _ in cases]))
    return gaps(installed, lambda _: next(responses))


def _run(artifact: Path, inputs: Sequence[Arrays]) -> list[Arrays]:
    """The outputs for each of `inputs`."""
    packages = install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, arrays in enumerate(inputs):
            np.savez(folder / f"inputs_{index}.npz", **arrays)
        # -S: no site-packages, so that only the pinned packages are found
        command = [sys.executable, "-S", pinned_run.__file__, str(artifact.resolve()), name]
        environment = os.environ | {"PYTHONPATH": str(packages)}
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        if result.returncode:
            reason = result.stderr.strip().rpartition("\n")[2]
            raise ExportError(
                f"{artifact.name} does not run under ONNX Runtime {VERSION}: {reason}; "
                "nothing was written"
            )
        return [_loaded(folder / f"outputs_{index}.npz") for index in range(len(inputs))]


def _loaded(path: Path) -> Arrays:
    with np.load(path) as outputs:
        return dict(outputs)


def _install(command: list[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        reason = result.stderr.strip().rpartition("\n")[2]
        failed = result.returncode != 0
    except subprocess.TimeoutExpired:
        reason, failed = f"no end after {INSTALL_TIMEOUT_S} s", True
    if failed:
        raise MissingRequirement(
            f"the check under ONNX Runtime {VERSION} needs it installed once by pip, which said: "
            f"{reason}; export once with a network, or leave the check out with "
            "--skip-pinned-runtime"
        )
