"""The code that a version of a Python step runs, kept in its folder: modules in one zip file.

Python imports from it as from a folder. The same modules make the same bytes, so its sha256 says
whether two versions run the same code.
"""

import ast
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

FILE_NAME = "code.zip"
ROOT = Path(__file__).parents[2]  # of the checkout, or of an installed wheel
_FOLDERS = ("peopleseg", "serving")  # whose modules are kept; others are packages with versions
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can tell


def archive(modules: Iterable[str]) -> bytes:
    """A zip file of modules and of all that they import of this project, as they are now."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(_closure(modules)):
            entry = zipfile.ZipInfo(path.relative_to(ROOT).as_posix(), _EPOCH)
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return file.getvalue()


def digest(archived: bytes) -> str:
    """sha256 of the modules' texts and names: another zlib packs the same into other bytes."""
    found = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(archived)) as packed:
        for name in packed.namelist():
            found.update(f"{name}\n".encode() + packed.read(name))
    return found.hexdigest()


def _closure(modules: Iterable[str]) -> set[Path]:
    """Files of modules, of what they import, and of the packages around them."""
    files: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for name in (module, *_packages(module)):
            path = _file(name)
            if path and path not in files:
                files.add(path)
                waiting += _imported_by(path, name, path.stat().st_mtime_ns)
    return files


@cache
def _imported_by(path: Path, module: str, changed_ns: int) -> tuple[str, ...]:
    """changed_ns: so that a file that has changed is read again."""
    return tuple(_imported(ast.parse(path.read_text()), module, path))


def _packages(module: str) -> Iterator[str]:
    """peopleseg.pixels and peopleseg, for peopleseg.pixels.masks."""
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _file(module: str) -> Path | None:
    """None for what is no module, as a name in one."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((one for one in candidates if one.is_file()), None)


def _imported(tree: ast.AST, module: str, path: Path) -> Iterator[str]:
    """Names that may be modules of this project; those for type checkers alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module, path)
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            names = []
            yield from _imported(node, module, path)
        yield from (name for name in names if name.split(".")[0] in _FOLDERS)


def _source(node: ast.ImportFrom, module: str, path: Path) -> str:
    """What `from` names, also with leading dots."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
