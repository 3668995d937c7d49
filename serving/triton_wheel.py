"""The Triton server inside the nvidia-pytriton wheel, and the folder and environment it runs in.

Only files of the wheel are used: the server, its Python backend and the stubs. Nothing of its
Python package is imported.
"""

import ctypes.util
import importlib.util
import os
import shutil
import site
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving.errors import ServerStartError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
OWN_BACKENDS = Path(__file__).resolve().parent / "backends"
LIBRARIES = "nvidia_pytriton.libs"  # beside the wheel's package
STUB = "triton_python_backend_stub"
# One thread for the numeric libraries of each step: ONNX Runtime's threads are set per model.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# glibc gives large freed arrays back to the kernel, and a page that comes anew costs about as much
# as copying it: kept, preprocess, roi_align and postprocess take a quarter less time. In bytes.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
_no_bytecode = shutil.ignore_patterns("__pycache__")


def find_triton() -> Path:
    """The wheel's `tritonserver` folder. Raises ServerStartError if the wheel is not installed."""
    spec = importlib.util.find_spec("pytriton")
    for location in (spec and spec.submodule_search_locations) or ():
        folder = Path(location) / "tritonserver"
        if (folder / "bin" / "tritonserver").is_file():
            return folder
    raise ServerStartError(
        "the Triton server is not installed: run `make .venv/.serve`, or "
        "`pip install --no-deps nvidia-pytriton==0.7.0` (Linux x86_64, glibc 2.35 or newer)"
    )


def find_stub(triton: Path, python_version: str) -> Path:
    """The Python backend's stub for a Python "X.Y". Raises ServerStartError if there is none."""
    stubs = triton / "python_backend_stubs"
    stub = stubs / python_version / STUB
    if stub.is_file():
        return stub
    versions = [path.name for path in stubs.iterdir() if (path / STUB).is_file()]
    versions.sort(key=lambda version: [int(part) for part in version.split(".")])
    raise ServerStartError(
        f"Triton's Python backend has no stub for Python {python_version}, "
        f"only for {', '.join(versions)}: run the server with one of these"
    )


def find_libpython(version: str, folders: Sequence[Path]) -> Path | None:
    """The first of the folders with Python's shared library; None if the loader finds it itself.

    Raises ServerStartError for a Python without one: the stub cannot start then.
    """
    library = f"libpython{version}.so.1.0"
    for folder in folders:
        if (folder / library).is_file():
            return folder
    if ctypes.util.find_library(f"python{version}"):
        return None
    searched = ", ".join(str(folder) for folder in folders)
    raise ServerStartError(
        f"{library} is neither in {searched} nor where the system keeps libraries: Triton's Python "
        f"steps need it (on Debian and Ubuntu: the package libpython{version}; elsewhere a Python "
        "built with --enable-shared)"
    )


def check_numpy(version: str) -> None:
    """Raises ServerStartError for numpy 2: the stub was built for the memory layout of numpy 1.

    It reads every input as copies of its first value then, and sends empty outputs:
    https://github.com/triton-inference-server/python_backend/pull/384
    """
    if int(version.partition(".")[0]) >= 2:
        raise ServerStartError(
            f"Triton's Python steps need numpy 1, found numpy {version}: with numpy 2 they read "
            "wrong values without an error; run `pip install 'numpy<2'`"
        )


def lay_out_backends(folder: Path, triton: Path) -> Path:
    """Put the wheel's Python backend and the project's own backends under `folder`.

    Returns the folder to give Triton as --backend-directory. Files are copied, because Triton
    refuses a backend whose library is a link to elsewhere. They find their libraries relative to
    themselves: hence the wheel's own layout.
    """
    libraries = triton.parents[1] / LIBRARIES
    (folder / LIBRARIES).symlink_to(libraries)
    backends = folder / "pytriton" / "tritonserver" / "backends"
    shutil.copytree(triton / "backends" / "python", backends / "python", ignore=_no_bytecode)
    shutil.copy2(find_stub(triton, sysconfig.get_python_version()), backends / "python")
    for backend in OWN_BACKENDS.iterdir():
        shutil.copytree(backend, backends / backend.name, ignore=_no_bytecode)
    return backends


def lay_out_python(folder: Path) -> Path:
    """Make `folder` the virtual environment of the stubs; return its folder of programs.

    The stub ignores PYTHONPATH and PYTHONDONTWRITEBYTECODE, but it takes its packages from the
    first python3 on PATH. This one has the packages of the running Python and the project, and
    writes no bytecode: a __pycache__ beside a model.py looks like a change of the model, and Triton
    would reload it (https://github.com/triton-inference-server/server/issues/7489).
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    packages = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        packages.append(site.getusersitepackages())
    lines = ["import sys; sys.dont_write_bytecode = True", str(PROJECT_ROOT)]
    lines += [f"import site; site.addsitedir({package!r})" for package in packages]
    library = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (library / "peopleseg.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin"


def server_environment(base: Mapping[str, str], programs: Path) -> dict[str, str]:
    """The environment of the server and its stubs, made from `base`.

    programs: the folder of the stubs' python3, from `lay_out_python`.
    """
    environment = dict(base)
    places = [Path(sysconfig.get_config_var("LIBDIR") or ""), Path(sys.base_prefix) / "lib"]
    if libpython := find_libpython(sysconfig.get_python_version(), places):
        _prepend(environment, "LD_LIBRARY_PATH", libpython)
    _prepend(environment, "PATH", programs)
    for name in _ONE_THREAD:
        environment.setdefault(name, "1")
    for name, size in _KEPT_MEMORY.items():
        environment.setdefault(name, size)
    return environment


def _prepend(environment: dict[str, str], name: str, folder: Path) -> None:
    rest = environment.get(name)
    environment[name] = f"{folder}{os.pathsep}{rest}" if rest else str(folder)
